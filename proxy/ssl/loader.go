package ssl

import (
	stdtls "crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/tls"
	"alicorn/tls/ocsp"
)

// loader reads the certificates of one configuration, each file once.
type loader struct {
	load       *config.Load
	generation *proxy.Generation
	protocols  []string
	sources    []Source
	tickets    *tls.Tickets // for servers without ssl_session_ticket_key
	staples    *ocsp.Staples
	wanted     []*ocsp.Staple
	pairs      map[pairKey]*stdtls.Certificate // nil: the pair could not be read
	warned     map[string]bool
}

type pairKey struct{ cert, key, passwords string }

// identity returns the Identity of sv, nil if sv has no certificate. It records mistakes.
func (ld *loader) identity(sv *proxy.Server, c *settings) *tls.Identity {
	if c.reject {
		return tls.Rejecting()
	}
	o := c.options
	o.Protocols = ld.protocols
	var why string
	for _, source := range ld.sources {
		if o.Load == nil {
			o.Load, why = source.Certificates(sv)
		}
	}
	if o.Load == nil && !ld.counted(sv, c, why) {
		return nil
	}
	if o.MaxVersion != 0 && o.MinVersion > o.MaxVersion {
		ld.load.Fail(sv.Pos, "ssl_protocols and ssl_conf_command leave no version of TLS")
	}
	o.Clients = c.client.verifier
	ld.load.FailWith(sv.Pos, c.resume.apply(&o, ld))
	variables := o.Load == nil && hasVariables(c)
	if variables {
		o.Load = ld.perHandshake(sv, c)
	}
	if o.Load != nil {
		if c.stapling.on && !(variables && c.stapling.file.path != "") {
			ld.load.Note(sv.Pos, "ssl_stapling has no effect here: the certificate is known only in the handshake")
		}
		return tls.NewIdentity(nil, o)
	}
	certs := ld.certificates(sv, c, &o)
	if len(certs) == 0 {
		return nil
	}
	return tls.NewIdentity(certs, o)
}

// counted reports whether there are as many keys as certificates, and at least one. If not, it
// records a mistake. why is the reason of the sources for having no certificate.
func (ld *loader) counted(sv *proxy.Server, c *settings, why string) bool {
	files, keys := c.certs.Items(), c.keys.Items()
	switch {
	case len(keys) > len(files):
		if len(files) == 0 {
			ld.missing(sv, why)
		}
		ld.load.Fail(keys[len(files)].pos, "no \"ssl_certificate\" is defined for the key %q", keys[len(files)].shown())
	case len(files) > len(keys):
		ld.load.Fail(files[len(keys)].pos, "no \"ssl_certificate_key\" is defined for the certificate %q", files[len(keys)].shown())
	case len(files) == 0:
		ld.missing(sv, why)
	default:
		return true
	}
	return false
}

// certificates returns the certificates of sv, whose names have no variables. It adds their
// staples to o.
func (ld *loader) certificates(sv *proxy.Server, c *settings, o *tls.Options) []*stdtls.Certificate {
	keys, staple := c.keys.Items(), c.stapling.response(ld.load)
	var certs []*stdtls.Certificate
	for i, f := range c.certs.Items() {
		cert := ld.pair(f, keys[i], c.passwords)
		if cert == nil {
			continue
		}
		ld.doubt(sv, f, cert)
		if t := ld.staple(f, cert, c); t != nil {
			if o.Staples == nil {
				o.Staples = map[*stdtls.Certificate]tls.Stapler{}
			}
			o.Staples[cert] = t
		}
		if staple != nil {
			stapled := *cert
			stapled.OCSPStaple = staple
			cert = &stapled
		}
		certs = append(certs, cert)
	}
	return certs
}

// missing records a mistake for each listen directive of sv that needs TLS.
func (ld *loader) missing(sv *proxy.Server, why string) {
	if why != "" {
		why = ", " + why
	}
	for _, l := range sv.Listens {
		if l.SSL {
			ld.load.Fail(sv.Pos, "no \"ssl_certificate\" is defined for the \"listen ... ssl\" at %s%s", l.Pos.FileLine(), why)
		}
	}
}

// checkDefault records a mistake for a default server without certificates that has TLS only
// because another server of its address has it: it must answer clients without SNI.
func (ld *loader) checkDefault(site *proxy.Site, c *settings) {
	sv := site.Default
	asks := slices.ContainsFunc(sv.Listens, func(l *proxy.Listen) bool { return l.SSL })
	if len(c.certs.Items()) == 0 && !asks && !c.reject {
		ld.load.Fail(sv.Pos, "no \"ssl_certificate\" is defined for this server, the default of an address where another one says \"listen ... ssl\"")
	}
}

func (ld *loader) pair(cert, key, passwords file) *stdtls.Certificate {
	id := pairKey{cert.path, key.path, passwords.path}
	if c, ok := ld.pairs[id]; ok {
		return c
	}
	words, err := tls.ReadPasswords(ld.load.Resources.Host, passwords.path)
	var c *stdtls.Certificate
	if err != nil {
		ld.load.FailWith(passwords.pos, err)
	} else {
		c, err = tls.LoadPair(ld.load.Resources.Host, cert.path, key.path, words...)
		ld.load.FailWith(cert.pos, err)
	}
	ld.pairs[id] = c
	return c
}

// shown is the certificates of one configuration, by file, for Refused.
type shown struct {
	all map[string]*stdtls.Certificate
}

func shownIn(l *config.Load) *shown {
	return config.Shared(l, func() *shown { return &shown{all: map[string]*stdtls.Certificate{}} })
}

// Refused describes the certificates from files that clients refuse at time now, whatever the
// host name, in the order of their files' names. main is the main Scope of a configuration
// that was read.
func Refused(main *config.Scope, now time.Time) (all []string) {
	certs := shownIn(main.Load()).all
	for _, path := range slices.Sorted(maps.Keys(certs)) {
		if why := tls.Doubt(certs[path], "", now); why != "" {
			all = append(all, fmt.Sprintf("certificate %q %s", path, why))
		}
	}
	return all
}

// doubt warns once about each certificate that clients will refuse.
func (ld *loader) doubt(sv *proxy.Server, f file, cert *stdtls.Certificate) {
	name := "" // the server's first name, if that is a host name
	if names := sv.Names(); len(names) > 0 && names[0] == sv.Name && strings.Contains(sv.Name, ".") && !strings.Contains(sv.Name, "*") {
		name = sv.Name
	}
	shownIn(ld.load).all[f.shown()] = cert
	why := tls.Doubt(cert, name, time.Now())
	if key := f.path + why; why != "" && !ld.warned[key] {
		ld.warned[key] = true
		ld.load.Warn(f.pos, "certificate %q %s", f.shown(), why)
	}
}
