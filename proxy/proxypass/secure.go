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

// secureSettings are what a block says of TLS to servers: proxy_ssl_* and uwsgi_ssl_*.
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

// secureFile is a directive that names a file.
type secureFile struct {
	path string // "": it is not there
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
			Help: "Whether a server's certificate is verified: its chain by the CAs of proxy_ssl_trusted_certificate, and that it is for proxy_ssl_name. Where it is not accepted another server is asked (proxy_next_upstream error), or the answer is 502. Off: any certificate will do, and whoever is in the way can read and change what is passed. As in nginx a certificate without DNS names may have the name as its common name. A session that resumes is verified as well."},
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
			Help: "The name that a server's certificate must be for, and that proxy_ssl_server_name tells the server. It may have variables; a port in it does not count. Connections are kept for requests to the same name."},
		{Name: p.name + "_ssl_server_name", In: in, Args: config.OneArg, Syntax: "on | off", Default: "off",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.secure.serverName }),
			Help: "Whether a server is told proxy_ssl_name in the handshake (SNI, RFC 6066), which one with several certificates needs. Addresses are never told."},
		{Name: p.name + "_ssl_certificate", In: in, Args: config.OneArg, Syntax: "FILE | data:PEM",
			Set:  file(func(c *secureSettings) *secureFile { return &c.cert }),
			Help: "A file with this server's own certificate, in PEM format, for servers that ask for one. proxy_ssl_certificate_key has its key. Relative to the configuration's directory. Variables are not here."},
		{Name: p.name + "_ssl_certificate_key", In: in, Args: config.OneArg, Syntax: "FILE | data:PEM",
			Set:  file(func(c *secureSettings) *secureFile { return &c.key }),
			Help: "The file with the private key of proxy_ssl_certificate, in PEM format. It is read with the rights of the user that started this server."},
		{Name: p.name + "_ssl_password_file", In: in, Args: config.OneArg, Syntax: "FILE",
			Set:  file(func(c *secureSettings) *secureFile { return &c.passwords }),
			Help: "A file with passwords for an encrypted proxy_ssl_certificate_key, one a line. The first that fits opens it."},
		{Name: p.name + "_ssl_session_reuse", In: in, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(k, func(c *settings) *bool { return &c.secure.resumes }),
			Help: "Whether a new connection resumes the session of an earlier one to the same server, which saves both sides a signature. Sessions of TLS 1.2 resume by tickets only: Go's crypto/tls has no session identifiers."},
		{Name: p.name + "_ssl_protocols", In: in, Args: config.SomeArg, Syntax: "TLSv1 | TLSv1.1 | TLSv1.2 | TLSv1.3 ...", Default: "TLSv1.2 TLSv1.3", Set: setSecureVersions(k),
			Help: "The versions of TLS. None may be left out in the middle. SSLv2 and SSLv3 are accepted beside others, and are never used."},
		{Name: p.name + "_ssl_ciphers", In: in, Args: config.OneArg, Syntax: "LIST", Default: "those that Go considers safe", Set: setSecureCiphers(k),
			Help: "The ciphers before TLS 1.3, as a list of OpenSSL; see ssl_ciphers. Names that Go's crypto/tls does not have are dropped, and check -v lists them; a list of which nothing is left is an error. Their order does not matter. The ciphers of TLS 1.3 are always all on."},
	}
}

func setSecureFile(s *config.Scope, n *config.Node, f *secureFile) error {
	a := n.Args[0]
	*f = secureFile{path: a.Text, pos: a.Pos}
	switch {
	case strings.Contains(a.Text, "$"):
		return &config.Error{Pos: a.Pos, Msg: n.Name + " with variables is not here: it names one file"}
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

// secureOf returns how the location's servers are reached by TLS, and a key that is the
// same where that is the same; nil and "" where they are reached without.
func (p *protocol) secureOf(c *settings, l *config.Load) (*upstream.Secure, string, error) {
	if !c.pass.secure {
		return nil, "", nil
	}
	ss, h := &c.secure, l.Resources.Host
	s := upstream.NewSecure(ss.resumes, ss.serverName)
	if ss.versions != nil {
		s.Versions(ss.versions) // checked where they stand
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

// keyOfTLS is between the name of a protocol and the key of the way of its TLS: connections
// of one way are of no use to another.
const keyOfTLS = " TLS "

// scheme is what the URL of a request begins with in logs.
func (h *handler) scheme() string {
	switch {
	case h.secure == nil:
		return h.protocol.scheme
	case h.protocol.name == "proxy":
		return "https"
	}
	return "s" + h.protocol.scheme
}

// peerName returns the name that the certificate of x's server is to be for.
func (h *handler) peerName(x *proxy.Exchange) string {
	name := cmp.Or(h.pass.host, h.pass.name)
	if h.settings.secure.name != nil {
		name = h.settings.secure.name.String(x)
	}
	bracket := 0 // behind that of an IPv6 address
	if strings.HasPrefix(name, "[") {
		bracket = strings.IndexByte(name, ']') + 1
	}
	if i := strings.IndexByte(name[bracket:], ':'); i >= 0 {
		name = name[:bracket+i]
	}
	return name
}

// secure does TLS's handshake, for which crypto/tls waits in straight code: on a goroutine
// of its own, so that the client's leaving is noticed meanwhile.
func (p *pass) secure(x *proxy.Exchange) error {
	c := p.conn
	if c.looped == nil {
		nc, err := p.h.secure.HandshakeOn(c.blocking, p.peer.name, p.way.name, p.h.connectTimeout)
		if err != nil {
			c.broken, c.closed = err, true
		} else {
			c.blocking = nc
		}
		c.shaken = true
	}
	switch {
	case !c.shaken:
		c.shake(p.h.secure, p.h.connectTimeout, p.waker)
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

// shake has a goroutine do the handshake, which then wakes the pass. It ends by timeout, or
// because drop cuts the connection.
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
