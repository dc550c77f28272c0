package proxypass

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// secureSettings are the settings of a block about TLS to servers: proxy_ssl_* and
// uwsgi_ssl_*.
type secureSettings struct {
	verify     bool
	depth      int
	trusted    secureFile
	crl        secureFile
	cert       secureFile
	key        secureFile
	passwords  secureFile
	name       *proxy.Template // nil: the host of the URL
	serverName bool
	resumes    bool
	versions   []string // nil: the default
	ciphers    string   // "": the default
}

// secureFile is a directive with the name of a file.
type secureFile struct {
	path string // "": there is no such directive
	pos  config.Pos
}

func (p *protocol) secureDirectives() []config.Directive {
	in, k := config.AnyLevel, p.key
	file := func(field func(c *secureSettings) *secureFile) config.Setter {
		return func(s *config.Scope, n *config.Node) error { return setSecureFile(s, n, field(&k.In(s).secure)) }
	}
	return []config.Directive{
		{Name: p.name + "_ssl_verify", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.secure.verify }),
			Help: "Whether a server's certificate is verified: its chain against the CAs of proxy_ssl_trusted_certificate, and its names against proxy_ssl_name. If it is not accepted, another server gets the request (proxy_next_upstream error), or the answer is 502. With off any certificate is accepted, so that an attacker between the servers can read and change requests and answers. As in nginx, a certificate without DNS names may have the name as its common name. A resumed session is verified, too."},
		{Name: p.name + "_ssl_verify_depth", In: in, Args: config.OneArg, Syntax: "NUMBER", Default: "1",
			Set:  config.Int(k, 0, 100, func(c *settings) *int { return &c.secure.depth }),
			Help: "How many CAs may stand between a server's certificate and the root."},
		{Name: p.name + "_ssl_trusted_certificate", In: in, Args: config.OneArg, Syntax: "FILE",
			Set:  file(func(c *secureSettings) *secureFile { return &c.trusted }),
			Help: "A file with the certificates, in PEM format, of the CAs that proxy_ssl_verify trusts: /etc/ssl/certs/ca-certificates.crt has the public ones. A chain must end at one that signed itself. Relative to the configuration's directory."},
		{Name: p.name + "_ssl_crl", In: in, Args: config.OneArg, Syntax: "FILE",
			Set:  file(func(c *secureSettings) *secureFile { return &c.crl }),
			Help: "A file with lists of revoked certificates, in PEM format, for proxy_ssl_verify. With it every CA of a server's chain must have a list in it that has not expired. It is read at each start and reload."},
		{Name: p.name + "_ssl_name", In: in, Args: config.OneArg, Syntax: "NAME", Default: "the host of proxy_pass",
			Set:  proxy.SetTemplate(k, func(c *settings) **proxy.Template { return &c.secure.name }),
			Help: "The name that a server's certificate must have, and that proxy_ssl_server_name sends to the server. It may have variables; a port in it is ignored. A kept connection is used only for requests to the same name."},
		{Name: p.name + "_ssl_server_name", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.secure.serverName }),
			Help: "Whether proxy_ssl_name is sent to the server in the handshake (SNI, RFC 6066). A server with several certificates needs it. IP addresses are never sent."},
		{Name: p.name + "_ssl_certificate", In: in, Args: config.OneArg, Syntax: "FILE | data:PEM",
			Set:  file(func(c *secureSettings) *secureFile { return &c.cert }),
			Help: "A file with this server's own certificate, in PEM format, for servers that ask for one. proxy_ssl_certificate_key has its key. Relative to the configuration's directory. Variables are not here yet."},
		{Name: p.name + "_ssl_certificate_key", In: in, Args: config.OneArg, Syntax: "FILE | data:PEM",
			Set:  file(func(c *secureSettings) *secureFile { return &c.key }),
			Help: "The file with the private key of proxy_ssl_certificate, in PEM format. It is read with the rights of the user that started this server."},
		{Name: p.name + "_ssl_password_file", In: in, Args: config.OneArg, Syntax: "FILE",
			Set:  file(func(c *secureSettings) *secureFile { return &c.passwords }),
			Help: "A file with passwords for an encrypted proxy_ssl_certificate_key, one per line. They are tried in their order."},
		{Name: p.name + "_ssl_session_reuse", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.secure.resumes }),
			Help: "Whether a new connection resumes the session of an earlier one to the same server, which is faster. Sessions of TLS 1.2 resume only by tickets: Go's crypto/tls has no session identifiers."},
		{Name: p.name + "_ssl_protocols", In: in, Args: config.SomeArg, Syntax: "TLSv1 | TLSv1.1 | TLSv1.2 | TLSv1.3 ...", Default: "TLSv1.2 TLSv1.3", Set: setSecureVersions(k),
			Help: "The versions of TLS, without a gap between the oldest and the newest. SSLv2 and SSLv3 beside others are accepted, and have no effect."},
		{Name: p.name + "_ssl_ciphers", In: in, Args: config.OneArg, Syntax: "LIST", Default: "those that Go considers safe", Set: setSecureCiphers(k),
			Help: "The ciphers for versions before TLS 1.3, as a list in OpenSSL's format; see ssl_ciphers. Names that Go's crypto/tls does not have are dropped, and check -v lists them; if nothing is left, that is an error. The order does not matter. All ciphers of TLS 1.3 are always on."},
	}
}

func setSecureFile(s *config.Scope, n *config.Node, f *secureFile) error {
	a := n.Args[0]
	*f = secureFile{path: a.Text, pos: a.Pos}
	switch {
	case strings.Contains(a.Text, "$"):
		return &config.Error{Pos: a.Pos, Msg: n.Name + " with variables is not here yet: it takes the name of one file"}
	case strings.HasPrefix(a.Text, "engine:"), strings.HasPrefix(a.Text, "store:"):
		return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("%s takes a file, not %q: Go's crypto/tls has no engines", n.Name, a.Text)}
	case a.Text != "" && !strings.HasPrefix(a.Text, "data:"):
		f.path = s.Load().ConfPath(a.Text)
	}
	return nil
}

func setSecureVersions(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		var names []string
		for _, a := range n.Args {
			if a.Text != "SSLv2" && a.Text != "SSLv3" {
				names = append(names, a.Text)
			}
		}
		if names == nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%s: %s is broken and not supported; use TLSv1.2 TLSv1.3", n.Name, n.Arg(0))}
		}
		if err := new(upstream.Secure).Versions(names); err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": " + err.Error()}
		}
		k.In(s).secure.versions = names
		return nil
	}
}

func setSecureCiphers(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		dropped, err := new(upstream.Secure).Ciphers(n.Arg(0))
		if err != nil {
			return &config.Error{Pos: n.Args[0].Pos, Msg: n.Name + ": " + err.Error()}
		}
		if len(dropped) > 0 {
			s.Load().Note(n.Args[0].Pos, "%s: not known to Go's crypto/tls and dropped: %s", n.Name, strings.Join(dropped, " "))
		}
		k.In(s).secure.ciphers = n.Arg(0)
		return nil
	}
}

// secureOf returns the TLS settings for the location's servers, and a key that is the same for
// equal settings; nil and "": without TLS.
func (p *protocol) secureOf(c *settings, l *config.Load) (*upstream.Secure, string, error) {
	if !c.pass.secure || !p.secure {
		return nil, "", nil
	}
	ss, h := &c.secure, l.Resources.Host
	s := upstream.NewSecure(ss.resumes, ss.serverName)
	if ss.versions != nil {
		s.Versions(ss.versions) // setSecureVersions has checked them
	}
	if ss.ciphers != "" {
		s.Ciphers(ss.ciphers)
	}
	if ss.verify && ss.trusted.path == "" {
		return nil, "", &config.Error{Pos: c.passPos, Msg: fmt.Sprintf("no %s_ssl_trusted_certificate for %s_ssl_verify", p.name, p.name)}
	}
	if ss.verify {
		if err := s.Verify(h, ss.trusted.path, ss.crl.path, ss.depth); err != nil {
			return nil, "", &config.Error{Pos: ss.trusted.pos, Msg: err.Error()}
		}
	}
	if ss.cert.path != "" && ss.key.path == "" {
		return nil, "", &config.Error{Pos: ss.cert.pos, Msg: fmt.Sprintf("no \"%s_ssl_certificate_key\" is defined for certificate %q", p.name, ss.cert.path)}
	}
	if ss.cert.path != "" {
		if err := s.Identify(h, ss.cert.path, ss.key.path, ss.passwords.path); err != nil {
			return nil, "", &config.Error{Pos: ss.cert.pos, Msg: strings.ReplaceAll(err.Error(), " ssl_password_file", " "+p.name+"_ssl_password_file")}
		}
	}
	key := s.Key()
	s, err := config.Hold(l.Resources, "upstream TLS "+key, func() (*upstream.Secure, error) { return s, nil })
	return s, keyOfTLS + key, err
}

// keyOfTLS stands between the name of a protocol and the key of its TLS settings in the name of
// a Group's Resource: each setting has connections of its own.
const keyOfTLS = " TLS "

// scheme returns the scheme of the request's URL in logs.
func (p *pass) scheme() string {
	switch {
	case p.security == nil:
		return p.h.protocol.scheme
	case p.h.protocol.name == "proxy":
		return "https"
	}
	return "s" + p.h.protocol.scheme
}

// peerName returns the name that the certificate of x's server must have.
func (p *pass) peerName(x *proxy.Exchange) string {
	name := cmp.Or(p.target.host, p.target.name)
	if given := p.h.settings.secure.name; given != nil {
		name = given.String(x)
	}
	bracket := 0 // the index behind the "]" of an IPv6 address
	if strings.HasPrefix(name, "[") {
		bracket = strings.IndexByte(name, ']') + 1
	}
	if i := strings.IndexByte(name[bracket:], ':'); i >= 0 {
		name = name[:bracket+i]
	}
	return name
}

// secure does the handshake of TLS. crypto/tls waits in straight code, so shake does it on
// another goroutine, and the pass notices if the client leaves meanwhile.
func (p *pass) secure(x *proxy.Exchange) error {
	c := p.conn
	if c.looped == nil {
		nc, err := p.security.HandshakeOn(c.blocking, p.peer.name, p.way.name, p.h.connectTimeout)
		if err != nil {
			c.broken, c.closed = err, true
		} else {
			c.blocking = nc
		}
		c.shaken = true
	}
	switch {
	case !c.shaken:
		c.shake(p.security, p.h.connectTimeout, p.waker)
		return errWaits
	case c.broken == nil:
		p.connected(x)
		return nil
	}
	why, late := upstream.HandshakeFault(c.broken)
	if late {
		return timedOut(whileShaking)
	}
	return &failure{kind: upstream.OnError, status: 502, reason: why + " " + whileShaking}
}

// shake starts a goroutine that does the handshake and then wakes the pass. It ends after
// timeout at the latest, or when drop cuts the connection.
func (c *conn) shake(s *upstream.Secure, timeout time.Duration, waker proxy.Waker) {
	c.mu.Lock()
	c.state = shaking
	c.mu.Unlock()
	go func() {
		sealed, err := s.Handshake(c.looped, c.peer.name, c.way.name, timeout)
		c.mu.Lock()
		c.sealed, c.broken, c.shaken = sealed, err, true
		given := c.state == dropped
		if !given {
			c.state = busy
		}
		c.mu.Unlock()
		if given {
			c.close()
			return
		}
		waker.Wake()
	}()
}
