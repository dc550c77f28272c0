// Package ssl has the directives and variables that begin with ssl_, and hsts. It makes the
// crypto/tls.Config of each Site with "listen ... ssl". Package alicorn/tls has the
// certificates and chooses among them.
//
// A client's SNI chooses the server, by the rules of server_name, and so the certificates and
// protocol versions. Other names, and clients without SNI, get the default server.
// Certificates are read once for each Generation, except those whose names have variables.
// Clients' certificates are verified when a request has come, so that a refusal is an HTTP
// response.
package ssl

import (
	stdtls "crypto/tls"
	"fmt"
	"slices"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/tls"
)

type settings struct {
	certs     config.List[file]
	keys      config.List[file]
	passwords file
	options   tls.Options
	client    clientSettings
	resume    sessionSettings
	stapling  staplingSettings
	reject    bool
	hsts      bool
}

type module struct {
	settings  *config.Key[settings]
	protocols []string
	sources   []Source
}

// Source has certificates for servers that name no files.
type Source interface {
	// Certificates returns a function that returns the certificates of sv for a handshake,
	// the best one first; nil if this Source has none for sv. Then why is the end of the
	// message that no certificate is defined, or "".
	Certificates(sv *proxy.Server) (load func(*stdtls.ClientHelloInfo) ([]*stdtls.Certificate, error), why string)
	// Challenge returns the Config for the handshake of an authority that verifies a name
	// (RFC 8737); nil for that of any other client.
	Challenge(g *proxy.Generation, hello *stdtls.ClientHelloInfo) *stdtls.Config
}

// New returns the module. protocols are the names that ALPN may choose, those of
// proxy/transport. Servers without ssl_certificate get certificates from the first of sources
// that has some for them.
func New(protocols []string, sources ...Source) proxy.Module {
	judged := new(proxy.ConnSlot[*judgement])
	m := module{config.NewKey(func() settings {
		return settings{client: clientSettings{depth: 1, judged: judged}, resume: sessionSettings{tickets: true, life: 24 * time.Hour}}
	}), protocols, sources}
	return proxy.Module{
		Name:       "ssl",
		Settings:   m.settings,
		Directives: slices.Concat(m.directives(), m.cipherDirectives(), m.clientDirectives(), m.sessionDirectives(), m.staplingDirectives(), withoutEffect()),
		State:      []proxy.Slot{judged},
		Variables:  append(variables(), m.clientVariables()...),
		Compile:    m.compile,
		Generation: m.generation,
	}
}

const levels = config.HTTP | config.Server

func (m module) directives() []config.Directive {
	files := func(field func(c *settings) *config.List[file]) config.Setter {
		return func(s *config.Scope, n *config.Node) error { return addFile(field(m.settings.In(s)), s, n) }
	}
	return []config.Directive{
		{Name: "ssl_certificate", In: levels, Args: config.OneArg, Repeat: true, Syntax: "FILE | data:PEM",
			Set:  files(func(c *settings) *config.List[file] { return &c.certs }),
			Help: "A file with the server's certificate and those of its issuers, in PEM format, the server's own first. A relative FILE is in the configuration's folder. There may be several ssl_certificate with keys of different types (ECDSA and RSA): each client gets one that it can verify. data: is followed by the PEM text itself. FILE may have variables, for names that depend on the client's SNI, as in certs/$ssl_server_name.crt. Such a file is read in each handshake, with the rights of the serving user. A mistake in it ends the handshake and is logged. A name that no host can have is refused."},
		{Name: "ssl_certificate_key", In: levels, Args: config.OneArg, Repeat: true, Syntax: "FILE | data:PEM",
			Set:  files(func(c *settings) *config.List[file] { return &c.keys }),
			Help: "The file with the private key, in PEM format. For encrypted keys see ssl_password_file. The first ssl_certificate_key belongs to the first ssl_certificate, and so on. The file is read with the rights of the user that has started the server. data: and variables are as in ssl_certificate."},
		{Name: "ssl_password_file", In: levels, Args: config.OneArg, Syntax: "FILE",
			Set: func(s *config.Scope, n *config.Node) error {
				m.settings.In(s).passwords = file{path: s.Load().ConfPath(n.Arg(0)), pos: n.Args[0].Pos}
				return nil
			},
			Help: "A file with passwords for encrypted keys, one on each line; each is tried. Keys may be in PKCS #8 (PBES2 with PBKDF2, and AES or 3DES, as OpenSSL writes them), or in OpenSSL's older format. Decrypted keys are in memory only."},
		{Name: "ssl_protocols", In: levels, Args: config.SomeArg, Set: m.setProtocols,
			Syntax: "[TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]", Default: "TLSv1.2 TLSv1.3",
			Help: "The versions of TLS that clients may use. No version between the oldest and the newest may be left out. SSLv2 and SSLv3 are not available, and are ignored with a warning. Unlike in nginx, servers with the same address may have different versions."},
		{Name: "ssl_reject_handshake", In: levels, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(m.settings, func(c *settings) *bool { return &c.reject }),
			Help: "Refuses all handshakes for this server with the alert unrecognized_name. Such a server needs no certificate. A default server with it refuses clients that ask for a name that no server has."},
		{Name: "hsts", In: config.AnyLevel, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(m.settings, func(c *settings) *bool { return &c.hsts }),
			Help: "Adds the field \"Strict-Transport-Security: max-age=31536000\" (RFC 6797) to each response over TLS that does not have it: browsers then use only HTTPS for a year. nginx does not have this directive; there add_header does the same."},
	}
}

func (m module) setProtocols(s *config.Scope, n *config.Node) error {
	var names []string
	for _, a := range n.Args {
		if a.Text != "SSLv2" && a.Text != "SSLv3" {
			names = append(names, a.Text)
			continue
		}
		s.Load().Warn(a.Pos, "%s in ssl_protocols has no effect: it is broken, and no client can use it", a.Text)
	}
	if names == nil {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("ssl_protocols: %s is broken and not supported; use TLSv1.2 TLSv1.3", n.Arg(0))}
	}
	return m.useProtocols(s, n, names)
}

func (m module) useProtocols(s *config.Scope, n *config.Node, names []string) error {
	o := &m.settings.In(s).options
	var err error
	if o.MinVersion, o.MaxVersion, err = tls.VersionRange(names); err != nil {
		return &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": " + err.Error()}
	}
	return nil
}

// generation loads the certificates of all servers, and sets the Config of Sites with TLS. As
// in nginx, it also checks the certificates of a server without "listen ... ssl", to find
// mistakes early.
func (m module) generation(main *config.Scope, g *proxy.Generation) error {
	ld := loader{load: main.Load(), generation: g, protocols: m.protocols, sources: m.sources, pairs: map[pairKey]*stdtls.Certificate{}, warned: map[string]bool{}}
	shownIn(ld.load) // makes it now, so that later readers of load change nothing
	var err error
	if ld.tickets, err = sharedTickets(g.Resources); err != nil {
		return err
	}
	if ld.staples, err = sharedStaples(g.Resources); err != nil {
		return err
	}
	ld.useStaples(g)
	ids := map[*proxy.Server]*tls.Identity{}
	for _, sv := range g.Servers {
		if id := ld.identity(sv, m.settings.In(sv.Scope)); id != nil {
			ids[sv] = id
		}
	}
	for _, site := range g.Sites() {
		if site.SSL {
			ld.checkDefault(site, m.settings.In(site.Default.Scope))
			site.TLS = m.withChallenges(g, siteConfig(site, ids))
		}
	}
	return nil
}

// withChallenges makes c also answer the challenges of the sources.
func (m module) withChallenges(g *proxy.Generation, c *stdtls.Config) *stdtls.Config {
	usual := c.GetConfigForClient
	c.GetConfigForClient = func(hello *stdtls.ClientHelloInfo) (*stdtls.Config, error) {
		for _, source := range m.sources {
			if own := source.Challenge(g, hello); own != nil {
				return own, nil
			}
		}
		return usual(hello)
	}
	return c
}

// siteConfig returns the Config of one address. As in nginx, a server without certificates,
// which has TLS because of the address's other servers, uses those of the default server. If
// that has none, the loader has recorded a mistake.
func siteConfig(site *proxy.Site, ids map[*proxy.Server]*tls.Identity) *stdtls.Config {
	return tls.NewConfig(func(name string) (*tls.Identity, error) {
		if name != "" { // server_name "" is for requests without a host
			server, err := site.Lookup(nil, name)
			if err != nil {
				return nil, err
			}
			if id := ids[server]; id != nil {
				return id, nil
			}
		}
		return ids[site.Default], nil
	})
}
