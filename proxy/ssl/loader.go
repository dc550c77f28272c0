package ssl

import (
	stdtls "crypto/tls"
	"slices"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/tls"
)

// loader reads the certificates of one configuration, each file once.
type loader struct {
	load    *config.Load
	tickets *tls.Tickets                      // of servers without key files
	pairs   map[[2]string]*stdtls.Certificate // nil: could not be read
	warned  map[string]bool
}

// identity returns what sv shows, nil when it has no certificate. Mistakes
// are recorded.
func (ld *loader) identity(sv *proxy.Server, c *settings) *tls.Identity {
	if c.reject {
		return tls.Rejecting()
	}
	files, keys := c.certs.Items(), c.keys.Items()
	if len(files) == 0 {
		ld.missing(sv)
	}
	if len(keys) > len(files) {
		ld.load.Fail(keys[len(files)].pos, "no \"ssl_certificate\" is defined for the key %q", keys[len(files)].path)
		return nil
	}
	var certs []*stdtls.Certificate
	for i, f := range files {
		if i >= len(keys) {
			ld.load.Fail(f.pos, "no \"ssl_certificate_key\" is defined for the certificate %q", f.path)
			return nil
		}
		if cert := ld.pair(f, keys[i]); cert != nil {
			certs = append(certs, cert)
			ld.doubt(sv, f, cert)
		}
	}
	if len(certs) == 0 {
		return nil
	}
	o := c.options
	o.Clients = c.client.verifier
	if err := c.resume.apply(&o, ld); err != nil {
		ld.load.FailWith(sv.Pos, err)
	}
	return tls.NewIdentity(certs, o)
}

// missing reports the listen directives of sv that ask for TLS.
func (ld *loader) missing(sv *proxy.Server) {
	for _, l := range sv.Listens {
		if l.SSL {
			ld.load.Fail(sv.Pos, "no \"ssl_certificate\" is defined for the \"listen ... ssl\" at %s:%d", l.Pos.File, l.Pos.Line)
		}
	}
}

// checkDefault reports a default server without certificates that speaks TLS
// only because another server of its address does: it must answer the clients
// without SNI.
func (ld *loader) checkDefault(site *proxy.Site, c *settings) {
	sv := site.Default
	asks := slices.ContainsFunc(sv.Listens, func(l *proxy.Listen) bool { return l.SSL })
	if len(c.certs.Items()) == 0 && !asks && !c.reject {
		ld.load.Fail(sv.Pos, "no \"ssl_certificate\" is defined for this server, the default of an address where another one says \"listen ... ssl\"")
	}
}

func (ld *loader) pair(cert, key file) *stdtls.Certificate {
	id := [2]string{cert.path, key.path}
	if c, ok := ld.pairs[id]; ok {
		return c
	}
	c, err := tls.LoadPair(ld.load.Resources.Host, cert.path, key.path)
	ld.load.FailWith(cert.pos, err)
	ld.pairs[id] = c
	return c
}

// doubt warns, once for each, of certificates that clients will refuse.
func (ld *loader) doubt(sv *proxy.Server, f file, cert *stdtls.Certificate) {
	name := sv.Name
	if strings.ContainsAny(name, "*~") || strings.HasPrefix(name, ".") || !strings.Contains(name, ".") {
		name = ""
	}
	why := tls.Doubt(cert, name, time.Now())
	if key := f.path + why; why != "" && !ld.warned[key] {
		ld.warned[key] = true
		ld.load.Warn(f.pos, "certificate %q %s", f.path, why)
	}
}
