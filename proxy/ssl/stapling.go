package ssl

import (
	stdtls "crypto/tls"
	"encoding/asn1"
	"fmt"
	"strings"

	"alicorn/config"
)

// staplingSettings are about OCSP responses.
type staplingSettings struct {
	on   bool
	file file // "": none
}

func (m module) staplingDirectives() []config.Directive {
	return []config.Directive{
		{Name: "ssl_stapling", In: levels, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(m.settings, func(c *settings) *bool { return &c.stapling.on }),
			Help: "Shows clients the OCSP response of ssl_stapling_file. Without that file there is nothing to show: Alicorn asks no OCSP responders, and most authorities no longer have any; check says so where the certificate names one."},
		{Name: "ssl_stapling_file", In: levels, Args: config.OneArg, Syntax: "FILE",
			Set: func(s *config.Scope, n *config.Node) error {
				m.settings.In(s).stapling.file = file{path: s.Load().ConfPath(n.Arg(0)), pos: n.Args[0].Pos}
				return nil
			},
			Help: "A file with an OCSP response in DER format, as \"openssl ocsp -respout\" writes it, for ssl_stapling. It is read at each start and reload."},
	}
}

// response returns what is stapled, nil when nothing is. Mistakes are recorded.
func (c *staplingSettings) response(l *config.Load) []byte {
	if !c.on || c.file.path == "" {
		return nil
	}
	content, err := l.Resources.Host.ReadFile(c.file.path)
	if err != nil {
		l.FailWith(c.file.pos, fmt.Errorf("cannot read OCSP response: %w", err))
		return nil
	}
	// RFC 6960 section 4.2.1: a status, of which 0 means that there is more.
	var r struct {
		Status asn1.Enumerated
		Bytes  asn1.RawValue `asn1:"optional,explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(content, &r); err != nil || r.Status != 0 {
		l.Fail(c.file.pos, "cannot use OCSP response %q: it is not a successful one in DER format", c.file.path)
		return nil
	}
	return content
}

// note says why there is nothing to staple.
func (c *staplingSettings) note(l *config.Load, f file, cert *stdtls.Certificate) {
	if !c.on || c.file.path != "" {
		return
	}
	if urls := cert.Leaf.OCSPServer; len(urls) > 0 {
		l.Warn(f.pos, "ssl_stapling shows nothing: OCSP responses are not fetched from %s; give one by ssl_stapling_file", strings.Join(urls, ", "))
		return
	}
	l.Note(f.pos, "ssl_stapling shows nothing: certificate %q names no OCSP responder", f.shown())
}
