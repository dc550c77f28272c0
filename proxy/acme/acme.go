// Package acme is automatic HTTPS: the directives that begin with acme_, and
// the requests of challenges. Package alicorn/tls/acme orders the certificates.
//
// A server with "listen ... ssl" and no ssl_certificate gets a certificate for
// each of its public names. When all servers of a configuration are known, the
// feature decides which names get one, which challenges the listeners can
// answer, and whether to open port 80. Every server answers HTTP-01, before any
// other rule applies to the request. Certificates live in a Source, a Resource
// that survives reloads.
package acme

import (
	"context"
	stdtls "crypto/tls"
	"log/slog"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/tls/acme"
)

// Options are what the program decides.
type Options struct {
	// State is the folder for accounts, keys and certificates.
	State string
	// Resolver returns the address, HOST:PORT, of the name server that is asked before a
	// certificate of the server s is ordered; "" and nil: the system's are.
	Resolver func(s *config.Scope) string
}

// Feature is automatic HTTPS for the configurations of one program. The ssl
// module takes certificates from it.
type Feature struct {
	options  Options
	settings *config.Key[settings]
}

// New returns the feature.
func New(o Options) *Feature {
	f := &Feature{options: o}
	f.settings = config.NewKey(func() settings { return settings{file: &file{}, redirect: true} })
	f.settings.Enter = func(s *config.Scope, c *settings) {
		c.issuer, c.certificate, c.site = nil, nil, nil
	}
	f.settings.Leave = f.leave
	return f
}

// Module returns it as a module, which stands before the ssl module.
func (f *Feature) Module() proxy.Module {
	return proxy.Module{
		Name: "acme", Settings: f.settings, Directives: f.directives(),
		Servers: f.servers, Generation: f.generation,
	}
}

// Certificates returns the function that chooses the certificate of sv in each
// handshake. It returns nil where sv needs ssl_certificate; why may then say why
// no certificate can be obtained automatically.
func (f *Feature) Certificates(sv *proxy.Server) (load func(*stdtls.ClientHelloInfo) ([]*stdtls.Certificate, error), why string) {
	t := f.settings.In(sv.Scope).site
	if t == nil {
		return nil, ""
	}
	if len(t.wants) == 0 {
		return nil, t.why
	}
	return t.certificates, ""
}

// Challenge returns the TLS settings for a handshake in which an authority checks TLS-ALPN-01; nil for other clients.
func (f *Feature) Challenge(g *proxy.Generation, hello *stdtls.ClientHelloInfo) *stdtls.Config {
	if !acme.IsChallenge(hello) {
		return nil
	}
	source := SourceOf(g)
	if source == nil {
		return nil
	}
	return source.Challenge(hello)
}

// SourceOf returns the Source of g's automatic certificates; nil when g has none.
func SourceOf(g *proxy.Generation) (source *acme.Source) {
	g.Resources.Each(func(_ string, v any) {
		if s, ok := v.(*acme.Source); ok {
			source = s
		}
	})
	return source
}

// generation has g's certificates ordered once g serves.
func (f *Feature) generation(main *config.Scope, g *proxy.Generation) error {
	var wants []*acme.Want
	byName := map[string]*acme.Want{}
	var source *acme.Source
	http, alpn := reachable(g)
	for _, sv := range g.Servers {
		t := f.settings.In(sv.Scope).site
		if t == nil {
			continue
		}
		for _, w := range t.wants {
			w.HTTP, w.ALPN = http, alpn
			if byName[w.Name] == nil {
				byName[w.Name] = w
				wants = append(wants, w)
			}
			source = t.source
		}
		if t.redirect {
			sv.Root.On(proxy.PostRead, t.toHTTPS)
		}
	}
	if source == nil {
		return nil
	}
	for _, sv := range g.Servers {
		sv.Root.First(proxy.PostRead, challenge{source}.answer)
	}
	g.OnStart(func(context.Context) error { source.Load(wants); return nil })
	g.OnServe(func() {
		source.Use(wants, func(level slog.Level, text string) { g.LogTo(level, text) })
	})
	return nil
}

// reachable returns which challenges g's listeners can answer. Authorities
// connect to ports 80 and 443. Where no server listens on either, as in a
// container, it assumes that these are mapped to the ports that there are.
func reachable(g *proxy.Generation) (http, alpn bool) {
	var anyHTTP, anySSL bool
	for _, site := range g.Sites() {
		if site.Listener == nil || site.Listener.Network == "unix" {
			continue
		}
		port := portOf(site.Listener.Address)
		http, alpn = http || !site.SSL && port == "80", alpn || site.SSL && port == "443"
		anyHTTP, anySSL = anyHTTP || !site.SSL, anySSL || site.SSL
	}
	if !http && !alpn {
		return anyHTTP, anySSL
	}
	return http, alpn
}
