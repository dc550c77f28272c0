package ssl

import (
	stdtls "crypto/tls"
	"encoding/asn1"
	"fmt"
	"log/slog"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/tls"
	"alicorn/tls/ocsp"
)

// staplingSettings are the settings for OCSP responses.
type staplingSettings struct {
	on        bool
	file      file   // ssl_stapling_file; no path: none
	responder string // the responder's URL; "": the one in the certificate
}

func (m module) staplingDirectives() []config.Directive {
	return []config.Directive{
		{Name: "ssl_stapling", In: levels, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(m.settings, func(c *settings) *bool { return &c.stapling.on }),
			Help: "Sends clients the OCSP response (RFC 6960) for the certificate: that of ssl_stapling_file, or else that of the responder that the certificate names. The server asks the responder in the background when it starts, and again after half of a response's life. No handshake waits for a response. A responder's response is sent only if its signature is valid and it says that the certificate is good. The issuer's certificate must be in the file of ssl_certificate or in ssl_trusted_certificate. Most authorities have no responders any more (Let's Encrypt since 2025); check -v says for each certificate what happens. Certificates that are obtained automatically get no response, and those whose names have variables only that of ssl_stapling_file."},
		{Name: "ssl_stapling_file", In: levels, Args: config.OneArg, Syntax: "FILE",
			Set: func(s *config.Scope, n *config.Node) error {
				m.settings.In(s).stapling.file = file{path: s.Load().ConfPath(n.Arg(0)), pos: n.Args[0].Pos}
				return nil
			},
			Help: "A file with an OCSP response in DER format, as \"openssl ocsp -respout\" writes it, for ssl_stapling. The file is read at each start and reload. With it no responder is asked."},
		{Name: "ssl_stapling_responder", In: levels, Args: config.OneArg, Syntax: "URL", Set: m.setResponder,
			Help: "The OCSP responder that ssl_stapling asks, in place of the one that the certificate names: http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]."},
	}
}

func (m module) setResponder(s *config.Scope, n *config.Node) error {
	text := n.Arg(0)
	if !isResponder(text) {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("ssl_stapling_responder takes a URL that begins with http:// or https://, not %q", text)}
	}
	m.settings.In(s).stapling.responder = text
	return nil
}

func isResponder(text string) bool {
	return strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://")
}

// response returns the response of ssl_stapling_file, or nil. It records mistakes.
func (c *staplingSettings) response(l *config.Load) []byte {
	if !c.on || c.file.path == "" {
		return nil
	}
	content, err := l.Resources.Host.ReadFile(c.file.path)
	if err != nil {
		l.FailWith(c.file.pos, fmt.Errorf("cannot read OCSP response: %w", err))
		return nil
	}
	// RFC 6960 section 4.2.1: a status, and more only after status 0.
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

// staple returns the Staple that fetches responses for cert, whose file is f. If no responder
// can be asked, it returns nil, and records a note, a warning or a mistake.
func (ld *loader) staple(f file, cert *stdtls.Certificate, c *settings) *ocsp.Staple {
	if !c.stapling.on || c.stapling.file.path != "" {
		return nil
	}
	url := c.stapling.responder
	for _, u := range cert.Leaf.OCSPServer {
		if url == "" && isResponder(u) {
			url = u
		}
	}
	if url == "" {
		ld.load.Note(f.pos, "ssl_stapling has no effect: certificate %q names no OCSP responder", f.shown())
		return nil
	}
	issuer, err := tls.IssuerOf(ld.load.Resources.Host, cert, c.client.trusted.path)
	if err != nil {
		ld.load.FailWith(c.client.trusted.pos, err)
		return nil
	}
	if issuer == nil {
		ld.load.Warn(f.pos, "ssl_stapling has no effect: the issuer of certificate %q is neither in that file nor in ssl_trusted_certificate", f.shown())
		return nil
	}
	ld.load.Note(f.pos, "ssl_stapling asks %s about certificate %q", url, f.shown())
	t := ld.staples.Staple(cert.Leaf, issuer, url)
	ld.wanted = append(ld.wanted, t)
	return t
}

// sharedStaples returns the staples of the whole process.
func sharedStaples(r *config.Resources) (*ocsp.Staples, error) {
	return config.Hold(r, "ocsp staples", func() (*ocsp.Staples, error) { return ocsp.New(ocsp.Options{}), nil })
}

// useStaples begins to ask responders once g serves.
func (ld *loader) useStaples(g *proxy.Generation) {
	g.OnServe(func() {
		ld.staples.Use(ld.wanted, func(level slog.Level, text string) { g.LogTo(level, text) })
	})
}
