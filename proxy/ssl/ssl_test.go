package ssl_test

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/ssl"
	"alicorn/proxy/transport"
)

// show answers with the server's name and the variables of the handshake.
func show() proxy.Module {
	key := config.NewKey(func() struct{ text *proxy.Template } { return struct{ text *proxy.Template }{} })
	return proxy.Module{
		Name: "show", Settings: key,
		Directives: []config.Directive{{Name: "show", In: config.AnyLevel, Args: config.OneArg, Help: "Answers with a text.",
			Set: proxy.SetTemplate(key, func(c *struct{ text *proxy.Template }) **proxy.Template { return &c.text })}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			text := key.In(s).text
			l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
				return x.Res.Reply(200, "text/plain", []byte(text.String(x)))
			}))
			return nil
		},
	}
}

func configOf(dir, text string) proxytest.Config {
	return proxytest.Config{Text: text, Dir: dir, Modules: []proxy.Module{ssl.New([]string{transport.HTTP1}), show()}, Serve: http1.Serve}
}

const twoServers = `
show "$server_name|$ssl_server_name|$ssl_protocol|$ssl_cipher|$https|$scheme|$ssl_session_reused";
ssl_certificate a.crt;
ssl_certificate_key a.key;
server { listen 127.0.0.1:443 ssl; server_name a.example; }
server { listen 127.0.0.1:443 ssl; server_name b.example *.b.example; ssl_certificate b.crt; ssl_certificate_key b.key; ssl_protocols TLSv1.2; }
server { listen 127.0.0.1:80; server_name plain.example; }
`

func certificates(t *testing.T, dir string, names ...string) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, name := range names {
		pool.AddCert(proxytest.WriteCertificate(t, dir, name, proxytest.Certificate{Names: []string{name + ".example", "*." + name + ".example"}}))
	}
	return pool
}

// ask does one HTTPS request and returns the response's body.
func ask(t *testing.T, s *proxytest.Server, c *stdtls.Config) (string, stdtls.ConnectionState, error) {
	t.Helper()
	tc := stdtls.Client(s.Dial("127.0.0.1:443"), c)
	if err := tc.Handshake(); err != nil {
		return "", stdtls.ConnectionState{}, err
	}
	fmt.Fprintf(tc, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", c.ServerName)
	answer, err := io.ReadAll(tc)
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	return body, tc.ConnectionState(), err
}

func TestClientsGetTheServerAndCertificateOfTheNameTheyAskFor(t *testing.T) {
	dir := t.TempDir()
	pool := certificates(t, dir, "a", "b")
	s := proxytest.New(t, configOf(dir, twoServers))
	for _, c := range []struct{ name, want string }{
		{"a.example", "a.example|a.example|TLSv1.3|TLS_"},
		{"b.example", "b.example|b.example|TLSv1.2|ECDHE-ECDSA-"},
		{"x.b.example", "b.example|x.b.example|TLSv1.2|ECDHE-ECDSA-"},
		{"x.a.example", "a.example|x.a.example|TLSv1.3|TLS_"},
	} {
		got, _, err := ask(t, s, &stdtls.Config{ServerName: c.name, RootCAs: pool})
		if err != nil || !strings.HasPrefix(got, c.want) || !strings.HasSuffix(got, "|on|https|.") {
			t.Errorf("%s: got %q, %v; want %s...", c.name, got, err, c.want)
		}
	}
}

func TestANameThatTakesTooLongToMatchFailsTheHandshake(t *testing.T) {
	dir := t.TempDir()
	pool := certificates(t, dir, "a", "b")
	s := proxytest.New(t, configOf(dir, twoServers+`server { listen 127.0.0.1:443 ssl; server_name "~^(?!b)(a+)+$"; }`))
	if _, state, err := ask(t, s, &stdtls.Config{ServerName: strings.Repeat("a", 40) + "b", InsecureSkipVerify: true}); err == nil {
		t.Errorf("the default server's certificate was shown: %v", state.PeerCertificates[0].DNSNames)
	}
	if got, _, err := ask(t, s, &stdtls.Config{ServerName: "a.example", RootCAs: pool}); err != nil || !strings.HasPrefix(got, "a.example|") {
		t.Errorf(`another name: %q, %v; want "a.example|" at its beginning`, got, err)
	}
	if !strings.Contains(s.Log.String(), "it takes longer than 100ms") || !strings.Contains(s.Log.String(), "alicorn.conf:8:") {
		t.Errorf(`the log does not name the directive: %s; want "it takes longer than 100ms" and "alicorn.conf:8:" in it`, s.Log)
	}
}

func TestVariablesOfTLSAreEmptyWithoutIt(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a", "b")
	s := proxytest.New(t, configOf(dir, twoServers))
	if got := s.Do(proxytest.Request{Listen: "127.0.0.1:80", Host: "plain.example"}).Text(); got != "plain.example|||||http|" {
		t.Errorf(`got %q, want "plain.example|||||http|"`, got)
	}
}

func TestOpenSSLClientsAreServed(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificates(t, dir, "a", "b")
	s := proxytest.New(t, configOf(dir, twoServers))
	for _, c := range []struct{ args, want string }{
		{"-servername a.example", "subject=CN = a.example"},
		{"-servername b.example", "subject=CN = b.example"},
		{"-noservername", "subject=CN = a.example"},
		{"-servername b.example -tls1_2", "Protocol  : TLSv1.2"},
		{"-servername b.example -tls1_3", "alert protocol version"},
		{"-servername a.example -alpn http/1.1", "ALPN protocol: http/1.1"},
	} {
		cmd := exec.Command(openssl, append([]string{"s_client", "-connect", s.Addr("127.0.0.1:443")}, strings.Fields(c.args)...)...)
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %q is not in\n%s", c.args, c.want, out)
		}
	}
}

func TestTicketsAreGivenUnlessSwitchedOff(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a", "b")
	for setting, want := range map[string]bool{"": true, "ssl_session_tickets on;": true, "ssl_session_tickets off;": false} {
		s := proxytest.New(t, configOf(dir, setting+twoServers))
		out, err := exec.Command("openssl", "s_client", "-connect", s.Addr("127.0.0.1:443"), "-tls1_2").CombinedOutput()
		if got := strings.Contains(string(out), "TLS session ticket:"); err != nil || got != want {
			t.Errorf("%q: a ticket was given: %v, %v; want %v", setting, got, err, want)
		}
	}
}

func TestPlainRequestsOnATLSPortAreToldSo(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a", "b")
	s := proxytest.New(t, configOf(dir, twoServers))
	nc := s.Dial("127.0.0.1:443")
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	answer, err := io.ReadAll(nc)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "The plain HTTP request was sent to HTTPS port") {
		t.Errorf(`got %q, %v; want "HTTP/1.1 400 " at its beginning and "The plain HTTP request was sent to HTTPS port" in it`, answer, err)
	}
}

func TestSessionsResumeAfterAReload(t *testing.T) {
	dir := t.TempDir()
	pool := certificates(t, dir, "a", "b")
	s := proxytest.New(t, configOf(dir, twoServers))
	client := &stdtls.Config{ServerName: "a.example", RootCAs: pool, ClientSessionCache: stdtls.NewLRUClientSessionCache(4)}
	if got, _, err := ask(t, s, client); err != nil || !strings.HasSuffix(got, "|.") {
		t.Fatalf(`got %q, %v; want "|." at its end`, got, err)
	}
	if err := s.Reload(twoServers); err != nil {
		t.Fatal(err)
	}
	if got, state, err := ask(t, s, client); err != nil || !state.DidResume || !strings.HasSuffix(got, "|r") {
		t.Errorf(`got %q, resumed %v, %v; want true and "|r" at its end`, got, state.DidResume, err)
	}
}

func TestAChangedCertificateIsShownAfterAReload(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a", "b")
	s := proxytest.New(t, configOf(dir, twoServers))
	pool := certificates(t, dir, "a", "b")
	client := &stdtls.Config{ServerName: "a.example", RootCAs: pool}
	if _, _, err := ask(t, s, client); err == nil {
		t.Error("the new certificate is there before the reload")
	}
	if err := s.Reload(twoServers); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ask(t, s, client); err != nil {
		t.Error(err)
	}
	if err := s.Reload(strings.ReplaceAll(twoServers, "b.crt", "gone.crt")); err == nil {
		t.Error("a missing certificate was accepted")
	}
	if _, _, err := ask(t, s, client); err != nil {
		t.Errorf("the last good certificate does not serve after a failed reload: %v", err)
	}
}

func TestMistakesAreFoundAtCheck(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a", "b")
	for _, c := range []struct{ text, want string }{
		{"\nserver { listen 443 ssl; }", `:2:1: no "ssl_certificate" is defined for the "listen ... ssl" at DIR/alicorn.conf:2`},
		{"server { listen 443 ssl; ssl_certificate a.crt; }", `:1:42: no "ssl_certificate_key" is defined for the certificate "DIR/a.crt"`},
		{"server { listen 443 ssl; ssl_certificate a.crt; ssl_certificate_key a.key; ssl_certificate_key b.key; }", `:1:96: no "ssl_certificate" is defined for the key "DIR/b.key"`},
		{"server { listen 443 ssl; ssl_certificate a.crt; ssl_certificate_key b.key; }", `:1:42: certificate key "DIR/b.key" does not belong to the first certificate in "DIR/a.crt"`},
		{"server { listen 80; ssl_certificate no.crt; ssl_certificate_key a.key; }", `:1:37: cannot read certificate "DIR/no.crt": no such file`},
		{"server { listen 443 ssl; ssl_certificate $nothing.crt; ssl_certificate_key a.key; }", `:1:42: unknown variable "$nothing"`},
		{"server { listen 443 ssl; ssl_certificate $ssl_session_id; ssl_certificate_key a.key; }", `:1:42: unknown variable "$ssl_session_id": nginx has it, but Go's crypto/tls does not report it`},
		{"server { listen 443 ssl; ssl_certificate engine:x; }", `:1:42: ssl_certificate takes a file, not "engine:"`},
		{"server { listen 443 ssl; ssl_certificate data:x; ssl_certificate_key a.key; }", `:1:42: cannot use certificate "data:": it holds no certificate in PEM format`},
		{"server { listen 443 ssl; ssl_certificate a.crt; ssl_certificate_key a.key; ssl_password_file none; }", `:1:94: cannot read passwords: `},
		{"server { ssl_ciphers DHE; }", `:1:22: ssl_ciphers: no cipher of "DHE" is left`},
		{"server { ssl_ecdh_curve X448; }", `:1:25: ssl_ecdh_curve: no curve of "X448" is left`},
		{"server { ssl_conf_command Verify on; }", `:1:27: ssl_conf_command does not know "Verify"`},
		{"ssl_protocols TLSv1.2; ssl_conf_command MinProtocol TLSv1.3; ssl_certificate a.crt; ssl_certificate_key a.key; server { listen 443 ssl; ssl_conf_command MaxProtocol TLSv1.2; }", `ssl_protocols and ssl_conf_command leave no version of TLS`},
		{"server { ssl_verify_client on; }", `:1:10: no "ssl_client_certificate" is defined for "ssl_verify_client on"`},
		{"server { ssl_verify_client on; ssl_client_certificate none.crt; }", `:1:55: cannot read certificate "DIR/none.crt": no such file`},
		{"server { ssl_verify_client on; ssl_client_certificate a.crt; ssl_crl a.crt; }", `:1:70: cannot use revocation list "DIR/a.crt": it holds no revocation list in PEM format`},
		{"server { ssl_session_cache shared:SSL; }", `:1:28: ssl_session_cache: "shared:SSL" needs a name and a size`},
		{"server { ssl_session_cache shared:SSL:1k; }", `:1:28: ssl_session_cache: "shared:SSL:1k" is too small`},
		{"server { ssl_session_ticket_key a.crt; ssl_certificate a.crt; ssl_certificate_key a.key; }", `:1:33: session ticket key "DIR/a.crt" has `},
		{"server { ssl_stapling on; ssl_stapling_file a.crt; ssl_certificate a.crt; ssl_certificate_key a.key; }", `:1:45: cannot use OCSP response "DIR/a.crt"`},
		{"server { ssl_protocols SSLv3; }", `:1:24: ssl_protocols: SSLv3 is broken and not supported; use TLSv1.2 TLSv1.3`},
		{"server { ssl_protocols TLSv1.2; ssl_protocols TLSv1.3; }", `:1:33: directive "ssl_protocols" is duplicate`},
		{"server { ssl_session_tickets maybe; }", `:1:30: "ssl_session_tickets" takes "on" or "off", not "maybe"`},
		{"server { location / { ssl_certificate a.crt; } }", `directive "ssl_certificate" is not allowed in "location"`},
		{"server { listen 443; server_name x; } server { listen 443 ssl; ssl_certificate a.crt; ssl_certificate_key a.key; }", `:1:1: no "ssl_certificate" is defined for this server, the default of an address`},
	} {
		_, err := proxytest.Check(t, configOf(dir, c.text))
		if want := strings.ReplaceAll(c.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, want)
		}
	}
}

func TestProtocolsThatAreNoMoreAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	for _, c := range []struct{ protocols, want string }{
		{"TLSv1.2 TLSv1.3", ""}, {"SSLv3 TLSv1.2", "SSLv3"}, {"SSLv2 SSLv3 TLSv1 TLSv1.1 TLSv1.2", "SSLv2 SSLv3"}, {"TLSv1.3 SSLv2", "SSLv2"},
	} {
		warnings, err := proxytest.Check(t, configOf(dir, "ssl_protocols "+c.protocols+"; server { listen 443 ssl; server_name a.example; ssl_certificate a.crt; ssl_certificate_key a.key; }"))
		var got []string
		for _, w := range warnings {
			if name, _, ok := strings.Cut(w.Msg, " in ssl_protocols has no effect: "); ok && w.Pos.Line == 1 && !w.Verbose {
				got = append(got, name)
			}
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: warned of %q, want %q; %v", c.protocols, got, c.want, err)
		}
	}
}

func TestCertificatesThatClientsWillRefuseAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	proxytest.WriteCertificate(t, dir, "old", proxytest.Certificate{Names: []string{"a.example"}, From: -2 * time.Hour})
	for _, c := range []struct{ server, cert, want string }{
		{"a.example", "a", ""},
		{"_", "a", ""},
		{"*.other.example", "a", ""},
		{"a.example", "old", "expired on"},
		{"other.example", "a", `is not for "other.example" but for a.example, *.a.example`},
	} {
		text := fmt.Sprintf("server { listen 443 ssl; server_name %s; ssl_certificate %s.crt; ssl_certificate_key %[2]s.key; }", c.server, c.cert)
		warnings, err := proxytest.Check(t, configOf(dir, text))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range warnings {
			got += w.Msg
		}
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s with %s: got %q, want %q", c.server, c.cert, got, c.want)
		}
	}
}

func TestWhatGoDecidesIsAcceptedAndNoted(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir, "a")
	warnings, err := proxytest.Check(t, configOf(dir, `
		ssl_certificate `+filepath.Join(dir, "a.crt")+`; ssl_certificate_key a.key;
		ssl_prefer_server_ciphers off; ssl_session_cache shared:SSL:10m;
		ssl_session_timeout 1d; ssl_dhparam dh.pem; ssl_certificate_cache max=1000 inactive=20s valid=1m; server { listen 443 ssl; }`))
	if err != nil || len(warnings) != 3 {
		t.Fatalf("got %v, %v; want 3 of them", warnings, err)
	}
	for _, w := range warnings {
		if !w.Verbose || !strings.Contains(w.Msg, "has no effect here") {
			t.Errorf(`got %+v, want Verbose true and "has no effect here" in it`, w)
		}
	}
}
