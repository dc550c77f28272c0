package ssl

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/tls"
)

// verifyMode is ssl_verify_client.
type verifyMode uint8

const (
	verifyOff verifyMode = iota
	verifyOn
	verifyOptional
	verifyOptionalNoCA
)

// clientSettings are the settings for clients' certificates.
type clientSettings struct {
	mode     verifyMode
	shown    file // ssl_client_certificate: CAs whose names are sent to clients
	trusted  file // ssl_trusted_certificate: further CAs
	crl      file
	depth    int
	verifier *tls.Verifier // made when the server is compiled; nil with verifyOff
	judged   *proxy.ConnSlot[*judgement]
}

func (m module) clientDirectives() []config.Directive {
	fileOf := func(field func(c *clientSettings) *file) config.Setter {
		return func(s *config.Scope, n *config.Node) error {
			*field(&m.settings.In(s).client) = file{path: s.Load().ConfPath(n.Arg(0)), pos: n.Args[0].Pos}
			return nil
		}
	}
	return []config.Directive{
		{Name: "ssl_verify_client", In: levels, Args: config.OneArg, Syntax: "on | off | optional | optional_no_ca", Default: "off",
			Set: config.Enum(m.settings, []config.Choice[verifyMode]{{Word: "on", Value: verifyOn}, {Word: "off", Value: verifyOff},
				{Word: "optional", Value: verifyOptional}, {Word: "optional_no_ca", Value: verifyOptionalNoCA}},
				func(c *settings) *verifyMode { return &c.client.mode }),
			Help: "Asks clients for a certificate. With on, a request without a certificate is answered with 400 (496 for error_page). With on and optional, a request with a certificate that is not accepted is answered with 400 (495 for error_page). optional_no_ca also accepts certificates of CAs that are not trusted, for an application that checks $ssl_client_cert itself. $ssl_client_verify is the result. The server that the request's Host names verifies the certificate, once for each connection, even if its session has resumed. As in nginx, a request for another host than that of the handshake is answered with 421."},
		{Name: "ssl_client_certificate", In: levels, Args: config.OneArg, Syntax: "FILE",
			Set:  fileOf(func(c *clientSettings) *file { return &c.shown }),
			Help: "A file with the certificates, in PEM format, of the CAs that sign clients' certificates. Their names are sent to clients. A chain must end at a CA that has signed itself. A relative FILE is in the configuration's folder."},
		{Name: "ssl_trusted_certificate", In: levels, Args: config.OneArg, Syntax: "FILE",
			Set:  fileOf(func(c *clientSettings) *file { return &c.trusted }),
			Help: "A file with certificates of further CAs, as for ssl_client_certificate, but their names are not sent to clients. Unlike in older versions of nginx, it may be used without ssl_client_certificate."},
		{Name: "ssl_crl", In: levels, Args: config.OneArg, Syntax: "FILE",
			Set:  fileOf(func(c *clientSettings) *file { return &c.crl }),
			Help: "A file with lists of revoked certificates, in PEM format. Each CA of a client's chain must have a list in it that has not expired. The file is read at each start and reload."},
		{Name: "ssl_verify_depth", In: levels, Args: config.OneArg, Syntax: "NUMBER", Default: "1",
			Set:  config.Int(m.settings, 0, 100, func(c *settings) *int { return &c.client.depth }),
			Help: "How many CAs, from 0 to 100, may be between a client's certificate and the root."},
	}
}

// verify makes a server's Verifier, and adds admit to its requests.
func (m module) verify(s *config.Scope, l *proxy.Location) error {
	if l.Kind != proxy.LocationServer {
		return nil
	}
	c := &m.settings.In(s).client
	if c.mode == verifyOff {
		return nil
	}
	n := s.Nearest("ssl_verify_client")
	if c.mode != verifyOptionalNoCA && c.shown.path == "" && c.trusted.path == "" {
		return &config.Error{Pos: n.Pos, Msg: fmt.Sprintf("no \"ssl_client_certificate\" is defined for \"ssl_verify_client %s\"", n.Arg(0))}
	}
	c.verifier = c.newVerifier(s.Load())
	l.On(proxy.PostRead, c.admit)
	return nil
}

// newVerifier reads the files. It records mistakes in l.
func (c *clientSettings) newVerifier(l *config.Load) *tls.Verifier {
	h, v := l.Resources.Host, tls.NewVerifier(c.depth)
	if c.shown.path != "" {
		l.FailWith(c.shown.pos, v.Trust(h, c.shown.path, true))
	}
	if c.trusted.path != "" {
		l.FailWith(c.trusted.pos, v.Trust(h, c.trusted.path, false))
	}
	if c.crl.path != "" {
		l.FailWith(c.crl.pos, v.Revoke(h, c.crl.path))
	}
	return v
}

// admit refuses requests on a connection whose client has not sent the certificate that the
// server asks for.
func (c *clientSettings) admit(x *proxy.Exchange) error {
	if x.Conn.TLS == nil {
		return nil
	}
	switch misdirected, err := isMisdirected(x); {
	case err != nil:
		return err
	case misdirected:
		return refuse(x, http.StatusMisdirectedRequest, "client attempted to request the server name different from the one that was negotiated")
	}
	if len(x.Conn.TLS.PeerCertificates) == 0 {
		if c.mode == verifyOn {
			return refuse(x, proxy.StatusNoCert, "client sent no required SSL certificate")
		}
		return nil
	}
	r := c.judge(x)
	if r == nil || r.NoCA && c.mode == verifyOptionalNoCA {
		return nil
	}
	return refuse(x, proxy.StatusCertError, fmt.Sprintf("client SSL certificate verify error: (%d:%s)", r.Code, r.Reason))
}

// isMisdirected reports whether the request names another host than the handshake, which may
// have asked the client for another certificate, or for none (RFC 9110 section 15.5.20). As
// in nginx, it compares names, not servers, and only if the name of the handshake has chosen
// its server.
func isMisdirected(x *proxy.Exchange) (bool, error) {
	asked := strings.ToLower(x.Conn.TLS.ServerName)
	same := asked == x.Req.Host && x.Req.Authority != "" // without an Authority, Host is only the server's own name
	if same || !tls.IsHostName(asked) {
		return false, nil
	}
	return x.Site().Named(x, asked)
}

// refuse returns the error for a refused request, and makes the connection close: a client
// can send another certificate only on a new connection.
func refuse(x *proxy.Exchange, status proxy.Status, reason string) error {
	x.DropConnection()
	return &proxy.Fail{Status: status, Level: proxy.LevelInfo, Reason: reason}
}

// judgement is a Verifier's result for the client of a connection.
type judgement struct {
	verifier *tls.Verifier
	refusal  *tls.Refusal
}

// judge returns the Verifier's result for a client that has sent a certificate. It keeps the
// result with the connection, until a request has another Verifier, after a reload or of
// another server.
func (c *clientSettings) judge(x *proxy.Exchange) *tls.Refusal {
	if j := c.judged.Load(x.Conn); j != nil && j.verifier == c.verifier {
		return j.refusal
	}
	j := &judgement{c.verifier, &tls.Refusal{Reason: "certificate not trusted", Code: 27}}
	if c.verifier != nil {
		j.refusal = c.verifier.Verify(x.Conn.TLS.PeerCertificates, time.Now())
	}
	c.judged.Store(x.Conn, j)
	return j.refusal
}
