package ssl_test

import (
	"bufio"
	stdtls "crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/proxy/ssl"
	"alicorn/proxy/transport"
)

// pair is a configuration that nginx and we serve. LISTEN in it is the address.
type pair struct {
	ours  *proxytest.Server
	nginx string // socket
}

// beside starts both with their files in dir.
func beside(t *testing.T, dir, text string) pair {
	t.Helper()
	run := proxytest.NginxDir(t)
	proxytest.StartNginx(t, run, "access_log off; root DIR/none;\n"+strings.NewReplacer("LISTEN", "listen unix:DIR/s", "FILES", dir).Replace(text))
	return pair{
		ours: proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{ssl.New([]string{transport.HTTP1}), rewrite.Module()}, Serve: http1.Serve,
			Text: strings.NewReplacer("LISTEN", "listen 127.0.0.1:443", "FILES", dir).Replace(text)}),
		nginx: filepath.Join(run, "s"),
	}
}

// both returns what f finds on a connection to each.
func (p pair) both(t *testing.T, f func(nc net.Conn) string) (ours, nginx string) {
	t.Helper()
	nc, err := net.Dial("unix", p.nginx)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	return f(p.ours.Dial("127.0.0.1:443")), f(nc)
}

// get is status, Connection and text of the answer over TLS, or the error.
func get(nc net.Conn, c *stdtls.Config, head string) string {
	tc := stdtls.Client(nc, c)
	if err := tc.Handshake(); err != nil {
		return "no handshake: " + err.Error()
	}
	if _, err := io.WriteString(tc, head); err != nil {
		return "cannot write: " + err.Error()
	}
	return answer(tc)
}

func answer(r io.Reader) string {
	res, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return "no answer: " + err.Error()
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "no body: " + err.Error()
	}
	text := string(body)
	if _, title, ok := strings.Cut(text, "<title>"); ok {
		text, _, _ = strings.Cut(title, "</title>")
	}
	if location := res.Header.Get("Location"); location != "" {
		text = location // the page of a redirect is no matter
	}
	closes := ""
	if res.Close {
		closes = " closed"
	}
	return fmt.Sprintf("%d%s %s", res.StatusCode, closes, text)
}

// verified are servers that ask for certificates of two authorities, and one
// that does not.
var verified = map[string]string{
	"a": `server { LISTEN ssl; server_name a.example; return 200 a; }`,
	"b": `server { LISTEN ssl; server_name b.example bb.example; ssl_verify_client on; ssl_client_certificate FILES/one.crt; return 200 "b $ssl_client_verify"; }`,
	"c": `server { LISTEN ssl; server_name c.example; ssl_verify_client on; ssl_client_certificate FILES/two.crt; return 200 "c $ssl_client_verify"; }`,
	"d": `server { LISTEN ssl; server_name *.d.example; ssl_verify_client optional; ssl_client_certificate FILES/one.crt; return 200 "d $ssl_client_verify"; }`,
}

// verifiedText has servers in an order, of which the first is the default.
func verifiedText(order string) string {
	text := "ssl_certificate FILES/site.crt; ssl_certificate_key FILES/site.key;"
	for _, name := range order {
		text += verified[string(name)]
	}
	return text
}

// TestVerifiedServersAreReachedOnlyByTheirOwnName asks nginx and us for each host, on
// connections for each name, with each certificate. They differ if no name has chosen the
// server of the handshake: then nginx accepts a certificate that the default server has
// accepted, and we only one of a CA of the server that is asked.
func TestVerifiedServersAreReachedOnlyByTheirOwnName(t *testing.T) {
	dir := t.TempDir()
	one, two := newAuthority(t, dir, "one"), newAuthority(t, dir, "two")
	one.server(t, "site", "site.example", false)
	clients := map[string]*stdtls.Certificate{"none": {}, "one": new(one.client(t, "ann")), "two": new(two.client(t, "bob"))}
	for _, order := range []string{"abcd", "bacd", "cabd", "b", "d"} {
		p := beside(t, dir, verifiedText(order))
		for _, sni := range []string{"", "a.example", "b.example", "c.example", "x.d.example", "none.example"} {
			for _, host := range []string{"a.example", "b.example", "B.example:443", "bb.example", "c.example", "x.d.example", "y.d.example", "none.example", ""} {
				for who, cert := range clients {
					ours, nginx := p.both(t, func(nc net.Conn) string {
						return get(nc, asClient(sni, cert), headFor(host))
					})
					own := strings.Contains(ours, "b SUCCESS") && who == "one" || strings.Contains(ours, "c SUCCESS") && who == "two" || strings.Contains(ours, "d SUCCESS") && who == "one"
					if strings.Contains(ours, "SUCCESS") && !own {
						t.Errorf("%s: SNI %q, Host %s: a certificate of %s got %s", order, sni, host, who, ours)
					}
					unnamed := sni == "" || sni == "none.example"
					if ours != nginx && !(unnamed && (own || strings.Contains(nginx, "SUCCESS"))) {
						t.Errorf("%s: SNI %q, Host %s, certificate %s:\nours  %s\nnginx %s", order, sni, host, who, ours, nginx)
					}
				}
			}
		}
	}
}

// headFor returns a request for host; if host is "", one of HTTP/1.0 without Host.
func headFor(host string) string {
	if host == "" {
		return "GET / HTTP/1.0\r\n\r\n"
	}
	return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
}

// asClient makes c send cert, whatever the server asks for.
func asClient(sni string, cert *stdtls.Certificate) *stdtls.Config {
	return &stdtls.Config{ServerName: sni, InsecureSkipVerify: true,
		GetClientCertificate: func(*stdtls.CertificateRequestInfo) (*stdtls.Certificate, error) { return cert, nil }}
}

// oneSession keeps one session, for whatever server.
type oneSession struct{ state *stdtls.ClientSessionState }

func (c *oneSession) Get(string) (*stdtls.ClientSessionState, bool) { return c.state, c.state != nil }

func (c *oneSession) Put(_ string, state *stdtls.ClientSessionState) { c.state = state }

func TestASessionOfOneServerOpensNoOther(t *testing.T) {
	dir := t.TempDir()
	one, two := newAuthority(t, dir, "one"), newAuthority(t, dir, "two")
	one.server(t, "site", "site.example", false)
	ann, bob := one.client(t, "ann"), two.client(t, "bob")
	const missing, refused = "400 closed 400 No required SSL certificate was sent", "400 closed 400 The SSL certificate error"
	for _, settings := range []string{"", "ssl_session_tickets off; ssl_session_cache shared:S:1m;"} {
		s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{ssl.New([]string{transport.HTTP1}), rewrite.Module()}, Serve: http1.Serve,
			Text: strings.NewReplacer("LISTEN", "listen 127.0.0.1:443", "FILES", dir).Replace(settings + verifiedText("abcd"))})
		for _, c := range []struct {
			from, to    string
			first, then stdtls.Certificate
			want        string
			resumes     bool
		}{
			{"a.example", "b.example", ann, stdtls.Certificate{}, missing, false},
			{"a.example", "a.example", ann, stdtls.Certificate{}, "200 a", true},
			{"b.example", "b.example", ann, stdtls.Certificate{}, "200 b SUCCESS", true},
			{"b.example", "bb.example", ann, stdtls.Certificate{}, "200 b SUCCESS", true},
			{"b.example", "c.example", ann, stdtls.Certificate{}, missing, false},
			{"b.example", "c.example", ann, ann, refused, false},
			{"b.example", "a.example", ann, ann, "200 a", false},
			{"b.example", "b.example", bob, stdtls.Certificate{}, refused, true},
		} {
			cache := &oneSession{}
			ask := func(name string, cert stdtls.Certificate, version uint16) (string, bool) {
				conf := asClient(name, &cert)
				conf.ClientSessionCache, conf.MaxVersion = cache, version
				tc := stdtls.Client(s.Dial("127.0.0.1:443"), conf)
				defer tc.Close()
				fmt.Fprintf(tc, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", name)
				return answer(tc), tc.ConnectionState().DidResume
			}
			for _, version := range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
				cache.state = nil
				ask(c.from, c.first, version)
				got, resumed := ask(c.to, c.then, version)
				kept := c.resumes && (settings == "" || version == stdtls.VersionTLS13)
				want := c.want
				if c.resumes && !kept && c.from != "a.example" {
					want = missing
				}
				if got != want || resumed != kept {
					t.Errorf("%q %x from %s to %s: got %s, resumed %v; want %s", settings, version, c.from, c.to, got, resumed, want)
				}
			}
		}
	}
}

func TestWhatCannotBeReadIsForTheServerOfTheHandshake(t *testing.T) {
	dir := t.TempDir()
	newAuthority(t, dir, "ca").server(t, "site", "site.example", false)
	text := "ssl_certificate FILES/site.crt; ssl_certificate_key FILES/site.key;"
	for _, name := range []string{"a.example", "b.example", "*.d.example"} {
		text += `server { LISTEN ssl; server_name ` + name + `; error_page 400 =200 /bad; location / { return 200 "$server_name $host"; } location = /bad { return 200 "bad at $server_name"; } }`
	}
	p := beside(t, dir, text)
	for _, sni := range []string{"", "a.example", "B.example", "x.d.example", "none.example"} {
		for _, head := range []string{"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "?\r\n\r\n", "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n"} {
			ours, nginx := p.both(t, func(nc net.Conn) string { return get(nc, asClient(sni, &stdtls.Certificate{}), head) })
			if ours != nginx {
				t.Errorf("SNI %q, %q:\nours  %s\nnginx %s", sni, head, ours, nginx)
			}
		}
	}
}

func TestPlainRequestsOnATLSPortAreAnsweredAsByNginx(t *testing.T) {
	dir := t.TempDir()
	newAuthority(t, dir, "ca").server(t, "site", "site.example", false)
	text := "ssl_certificate FILES/site.crt; ssl_certificate_key FILES/site.key;"
	for i, settings := range []string{
		"", "error_page 497 https://$host$request_uri;", "error_page 497 =301 https://$host$request_uri;", "return 301 /rewritten;",
		`error_page 497 =200 /told; location = /told { return 200 "$status $uri $request_method $scheme $https"; }`,
		"error_page 497 =307 @moved; location @moved { return 307 https://$host$request_uri; }",
		"error_page 400 /told; location = /told { return 200 told; }",
		"ssl_verify_client on; ssl_client_certificate FILES/ca.crt;",
	} {
		text += fmt.Sprintf("server { LISTEN ssl; server_name s%d.example; %s location / { return 200 secret; } }\n", i, settings)
	}
	p := beside(t, dir, text)
	heads := []string{
		"GET /x?a=%20b HTTP/1.1\r\nHost: HOST\r\n\r\n", "GET /x HTTP/1.1\r\nHost: HOST:443\r\n\r\nGET / HTTP/1.1\r\nHost: HOST\r\n\r\n", "GARBAGE\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\n\r\nabc", "GET / HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\n\r\n", "GET /\r\n", "BREW / HTTP/1.1\r\nHost: HOST\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n",
	}
	for i := range 9 {
		for _, head := range heads {
			head = strings.ReplaceAll(head, "HOST", fmt.Sprintf("s%d.example", i))
			ours, nginx := p.both(t, func(nc net.Conn) string { io.WriteString(nc, head); return answer(nc) })
			if ours != nginx {
				t.Errorf("%q:\nours  %s\nnginx %s", head, ours, nginx)
			}
		}
	}
}

func ia5(s string) asn1.RawValue { return asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(s)} }

// A connection to a TLS port may outlive the port's configuration. A request in plain text
// then gets nothing that is for TLS.
func TestPlainRequestsAreRefusedAlsoAfterTheirPortHasGone(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	s := proxytest.New(t, configOf(dir, secretAt("127.0.0.1:443")))
	nc := s.Dial("127.0.0.1:443")
	proxytest.Eventually(t, func() bool { return s.Engine.Connections() == 1 }, "the connection is not there")
	reloaded := make(chan error)
	go func() { reloaded <- s.Reload(secretAt("127.0.0.1:8443")) }()
	proxytest.Eventually(t, func() bool { return s.Engine.Current().Listeners[0].Address == "127.0.0.1:8443" }, "the configuration does not change")
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	got, err := io.ReadAll(nc)
	if err != nil || strings.Contains(string(got), "secret") {
		t.Errorf(`got %q, %v; want no "secret" in it`, got, err)
	}
	if err := <-reloaded; err != nil {
		t.Error(err)
	}
}

func secretAt(address string) string {
	return "show secret; ssl_certificate a.crt; ssl_certificate_key a.key; server { listen " + address + " ssl; server_name a.example; }"
}

// odd is a name with all characters that OpenSSL writes in its own way.
func odd(common string) pkix.Name {
	return pkix.Name{CommonName: common, Country: []string{"DE"}, Province: []string{"Baden-Württemberg"}, Locality: []string{"#1"}, Organization: []string{`Shop, "A+B" <x>; y\z `},
		OrganizationalUnit: []string{"one", "two"}, StreetAddress: []string{"a/b"}, PostalCode: []string{"1"}, SerialNumber: "7",
		ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: ia5("ann@shop.example")}, {Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: ia5("example")},
			{Type: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: "x"}}}
}

func TestVariablesAreWhatNginxSays(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	ca.server(t, "site", "site.example", true)
	middle := ca.authority(t, "middle", odd("CA"))
	ann := middle.clientNamed(t, "ann", odd("Ann"))
	bundle(t, dir, "trusted.crt", "ca.crt", "middle.crt")
	var all []string
	for _, name := range []string{"alpn_protocol", "cipher", "curve", "early_data", "protocol", "server_name", "session_reused", "client_verify", "client_fingerprint", "client_serial",
		"client_s_dn", "client_i_dn", "client_s_dn_legacy", "client_i_dn_legacy", "client_v_start", "client_v_end", "client_v_remain", "client_cert", "client_raw_cert", "client_escaped_cert"} {
		all = append(all, name+"=$ssl_"+name)
	}
	p := beside(t, dir, `ssl_certificate FILES/site.crt; ssl_certificate_key FILES/site.key; ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305;
		server { LISTEN ssl; ssl_verify_client optional_no_ca; ssl_client_certificate FILES/trusted.crt; return 200 "`+strings.Join(all, "|")+`"; }`)
	for name, c := range map[string]*stdtls.Config{
		"nobody": {}, "ALPN": {NextProtos: []string{"http/1.1"}}, "strange ALPN": {NextProtos: []string{"http/1.1", "x"}}, "Ann": asClient("a.example", &ann),
		"P-256": {CurvePreferences: []stdtls.CurveID{stdtls.CurveP256}}, "P-521": {CurvePreferences: []stdtls.CurveID{stdtls.CurveP521}}, "a stranger": asClient("", new(ca.clientNamed(t, "bob", pkix.Name{}))),
	} {
		c.InsecureSkipVerify = true
		for _, c.MaxVersion = range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
			if len(c.CurvePreferences) == 0 {
				c.CurvePreferences = []stdtls.CurveID{stdtls.X25519, stdtls.CurveP256} // OpenSSL before 3.5 lacks the hybrids
			}
			ours, nginx := p.both(t, func(nc net.Conn) string { return get(nc, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") })
			if c.MaxVersion == stdtls.VersionTLS13 {
				ours, nginx = withoutCipher(ours), withoutCipher(nginx) // of three, either prefers another
			}
			o, n := strings.Split(ours, "|"), strings.Split(nginx, "|")
			for i := range min(len(o), len(n)) {
				if o[i] != n[i] {
					t.Errorf("%s %x:\nours  %s\nnginx %s", name, c.MaxVersion, o[i], n[i])
				}
			}
			if len(n) != len(all) || len(o) != len(n) {
				t.Errorf("%s %x:\nours  %s\nnginx %s", name, c.MaxVersion, ours, nginx)
			}
		}
	}
}

var cipherShown = regexp.MustCompile(`cipher=[^|]*`)

func withoutCipher(s string) string { return cipherShown.ReplaceAllString(s, "") }

func TestNamesGetTheCertificateThatNginxGives(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	text := ""
	for i, names := range []string{"first.example", "a.example b.example", "*.wild.example", ".dot.example", "mail.*", `~^re\d+\.example$`, `~^(?<part>x.+)\.example$`, "other.wild.example default_server", `""`} {
		listen := "LISTEN ssl"
		if rest, ok := strings.CutSuffix(names, " default_server"); ok {
			names, listen = rest, listen+" default_server"
		}
		ca.server(t, fmt.Sprintf("s%d", i), fmt.Sprintf("s%d", i), false)
		text += fmt.Sprintf("server { %s; server_name %s; ssl_certificate FILES/s%d.crt; ssl_certificate_key FILES/s%[3]d.key; return 200 s%[3]d; }\n", listen, names, i)
	}
	p := beside(t, dir, text)
	for _, name := range []string{"", "first.example", "A.Example", "b.example", "wild.example", "one.wild.example", "one.two.wild.example", "other.wild.example", "dot.example", "x.y.dot.example", "mail.example",
		"mail.deep.example", "MAIL.a", "re12.example", "re.example", "xy.example", "under_score.example", "none.example", "192.0.2.1", "a.example.com", strings.Repeat("x", 60) + ".example"} {
		ours, nginx := p.both(t, func(nc net.Conn) string {
			tc := stdtls.Client(nc, asClient(name, &stdtls.Certificate{}))
			if err := tc.Handshake(); err != nil {
				return err.Error()
			}
			io.WriteString(tc, headFor(name))
			return tc.ConnectionState().PeerCertificates[0].Subject.CommonName + " " + answer(tc)
		})
		if ours != nginx {
			t.Errorf("%s:\nours  %s\nnginx %s", name, ours, nginx)
		}
	}
}
