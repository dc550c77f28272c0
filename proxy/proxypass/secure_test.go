package proxypass

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// authority is a CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // with its certificate
}

func newAuthority(t testing.TB, name string) *authority { return (&authority{}).authority(t, name) }

// authority returns another CA by a; one that signs itself if a is empty.
func (a *authority) authority(t testing.TB, name string) *authority {
	t.Helper()
	c := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	return &authority{cert: c.Leaf, key: c.PrivateKey.(*ecdsa.PrivateKey), file: pemFile(t, "CERTIFICATE", c.Certificate[0])}
}

// issue returns a certificate as c has it.
func (a *authority) issue(t testing.TB, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// revoked returns a file with the list of what a has revoked.
func (a *authority) revoked(t testing.TB, serials ...*big.Int) string {
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, serial := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now().Add(-time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	must(t, err)
	return pemFile(t, "X509 CRL", der)
}

func pemFile(t testing.TB, kind string, der []byte) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "pem")
	must(t, err)
	defer f.Close()
	must(t, pem.Encode(f, &pem.Block{Type: kind, Bytes: der}))
	return f.Name()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// with adds certificates to those that a server shows.
func with(c tls.Certificate, more ...*authority) tls.Certificate {
	for _, a := range more {
		c.Certificate = append(c.Certificate[:len(c.Certificate):len(c.Certificate)], a.cert.Raw)
	}
	return c
}

func named(names ...string) *x509.Certificate { return &x509.Certificate{DNSNames: names} }

// TestCertificatesAreVerifiedAsNginxVerifiesThem has both ask servers with certificates of
// all kinds.
func TestCertificatesAreVerifiedAsNginxVerifiesThem(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	middle := ca.authority(t, "middle")
	inner := middle.authority(t, "inner")
	good := ca.issue(t, named("site.test"))
	expired := named("site.test")
	expired.NotBefore, expired.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	forClients, forBoth, forSigning := named("site.test"), named("site.test"), named("site.test")
	forClients.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	forBoth.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	forSigning.KeyUsage = x509.KeyUsageCertSign
	itself := newAuthority(t, "site.test")
	alone := (&authority{}).issue(t, named("site.test"))
	addresses := named()
	addresses.IPAddresses = []net.IP{net.ParseIP("127.0.0.1")}
	trust := func(a *authority) string { return "proxy_ssl_trusted_certificate " + a.file + "; " }
	name := "proxy_ssl_name site.test; "
	cases := []struct {
		what     string
		cert     tls.Certificate
		settings string
	}{
		{"good", good, trust(ca) + name},
		{"a name with a port", good, trust(ca) + "proxy_ssl_name site.test:443; "},
		{"a name in capitals", good, trust(ca) + "proxy_ssl_name SITE.TEST; "},
		{"a name by a variable", good, trust(ca) + "proxy_ssl_name $arg_name; "},
		{"no name", good, trust(ca) + "proxy_ssl_name ''; "},
		{"another CA", good, trust(other) + name},
		{"another name", good, trust(ca) + "proxy_ssl_name other.test; "},
		{"the usual name", good, trust(ca)},
		{"an address as a name", ca.issue(t, named("127.0.0.1")), trust(ca)},
		{"an address", ca.issue(t, addresses), trust(ca)},
		{"a common name", ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "site.test"}}), trust(ca) + name},
		{"a common name beside another", ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "site.test"}, DNSNames: []string{"other.test"}}), trust(ca) + name},
		{"a common name beside an address", ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "site.test"}, IPAddresses: addresses.IPAddresses}), trust(ca) + name},
		{"a wildcard", ca.issue(t, named("*.site.test")), trust(ca) + "proxy_ssl_name a.site.test; "},
		{"a wildcard for two labels", ca.issue(t, named("*.site.test")), trust(ca) + "proxy_ssl_name b.a.site.test; "},
		{"a wildcard for none", ca.issue(t, named("*.site.test")), trust(ca) + name},
		{"expired", ca.issue(t, expired), trust(ca) + name},
		{"for clients", ca.issue(t, forClients), trust(ca) + name},
		{"for both", ca.issue(t, forBoth), trust(ca) + name},
		{"for signing", ca.issue(t, forSigning), trust(ca) + name},
		{"signed by itself", alone, trust(ca) + name},
		{"signed by itself and trusted", alone, "proxy_ssl_trusted_certificate " + pemFile(t, "CERTIFICATE", alone.Certificate[0]) + "; " + name},
		{"a CA as a server", tls.Certificate{Certificate: [][]byte{itself.cert.Raw}, PrivateKey: itself.key}, trust(itself) + name},
		{"a CA between", with(middle.issue(t, named("site.test")), middle), trust(ca) + name},
		{"a CA between that is not shown", middle.issue(t, named("site.test")), trust(ca) + name},
		{"a CA between that is trusted", middle.issue(t, named("site.test")), trust(middle) + name},
		{"a CA between, depth 0", with(middle.issue(t, named("site.test")), middle), trust(ca) + name + "proxy_ssl_verify_depth 0; "},
		{"two CAs between", with(inner.issue(t, named("site.test")), inner, middle), trust(ca) + name},
		{"two CAs between, depth 2", with(inner.issue(t, named("site.test")), inner, middle), trust(ca) + name + "proxy_ssl_verify_depth 2; "},
		{"revoked", good, trust(ca) + name + "proxy_ssl_crl " + ca.revoked(t, good.Leaf.SerialNumber) + "; "},
		{"not revoked", good, trust(ca) + name + "proxy_ssl_crl " + ca.revoked(t, big.NewInt(5)) + "; "},
		{"no list", good, trust(ca) + name + "proxy_ssl_crl " + other.revoked(t) + "; "},
	}
	text := ""
	for i, c := range cases {
		o := startSecure(t, &tls.Config{Certificates: []tls.Certificate{c.cert}}, says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
		text += fmt.Sprintf("location /%d/ { proxy_pass %s; %s proxy_ssl_verify on; } location /open/%[1]d/ { proxy_pass %[2]s; %[3]s } ", i, o.url, c.settings)
	}
	theirs, mine := beside(t, text)
	for i, c := range cases {
		for _, where := range []string{"", "/open"} {
			request := get(fmt.Sprintf("%s/%d/?name=site.test", where, i))
			for range 2 { // the second may resume a session
				if where != "" && (c.what == "for signing" || c.what == "a CA as a server") {
					continue // OpenSSL refuses its key usage also where nothing is verified
				}
				if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
					t.Errorf("%s%s\n ours  %s\n nginx %s", c.what, where, got, want)
				}
			}
		}
	}
}

// tellSecure answers with what the handshake has said.
func tellSecure(c *peerConn) {
	for r, _ := c.request(); r != nil; r, _ = c.request() {
		state := c.Conn.(*tls.Conn).ConnectionState()
		client := "none"
		if len(state.PeerCertificates) > 0 {
			client = state.PeerCertificates[0].Subject.CommonName
		}
		text := fmt.Sprintf("[%s] %s %s client %s resumed %v", state.ServerName, tls.VersionName(state.Version), state.NegotiatedProtocol, client, state.DidResume)
		if state.Version < tls.VersionTLS13 {
			text += " " + tls.CipherSuiteName(state.CipherSuite)
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
		return
	}
}

// TestServersSeeTheHandshakesThatNginxDoes has both connect with the same settings.
func TestServersSeeTheHandshakesThatNginxDoes(t *testing.T) {
	ca := newAuthority(t, "ca")
	own := ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "front"}})
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	must(t, err)
	identity := "proxy_ssl_certificate " + pemFile(t, "CERTIFICATE", own.Certificate[0]) + "; proxy_ssl_certificate_key " + pemFile(t, "PRIVATE KEY", key) + "; "
	pair := ca.issue(t, named("site.test"))
	cases := []string{
		"proxy_pass https://127.0.0.1:PORT;",
		"proxy_pass https://127.0.0.1:PORT; proxy_ssl_server_name on;",
		"proxy_pass https://localhost:PORT; proxy_ssl_server_name on;",
		"proxy_pass https://up/; proxy_ssl_server_name on; proxy_ssl_name $arg_name;",
		"proxy_pass https://up/x/; proxy_ssl_server_name on;",
		"proxy_pass https://up/; proxy_ssl_session_reuse off;",
		"proxy_pass https://up/; " + identity,
		"proxy_pass https://up/; proxy_ssl_protocols TLSv1.3;",
		"set $to https://127.0.0.1:PORT; proxy_pass $to; proxy_ssl_session_reuse off;", // nginx resumes no session of a server that a request has named
		"set $to https://up/; proxy_pass $to; proxy_ssl_server_name on;",
		"set $to 127.0.0.1:PORT; proxy_pass https://$to$request_uri; proxy_ssl_server_name on; proxy_ssl_name $arg_name; proxy_ssl_session_reuse off;",
		"set $to https://up/; proxy_pass $to; " + identity,
		"proxy_pass https://up/; proxy_ssl_protocols TLSv1.2; proxy_ssl_session_reuse off; " + identity,
		"proxy_pass https://up/; proxy_ssl_protocols TLSv1.2; proxy_ssl_session_reuse off; proxy_ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384;",
	}
	text, ups := "", ""
	for i, c := range cases {
		o := startSecure(t, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS10}, tellSecure)
		_, port, _ := net.SplitHostPort(o.addr)
		text += fmt.Sprintf("location /%d/ { %s } ", i, strings.NewReplacer("PORT", port, "https://up/", fmt.Sprintf("https://up%d/", i)).Replace(c))
		ups += fmt.Sprintf("upstream up%d { server %s; } ", i, o.addr)
	}
	theirs, mine := besideWith(t, ups, "proxy_ssl_protocols TLSv1.2 TLSv1.3; "+text) // nginx 1.22's default is an older one
	for i, c := range cases {
		for range 3 { // sessions resume
			request := get(fmt.Sprintf("/%d/?name=site.test", i))
			if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
				t.Errorf("%s\n ours  %s\n nginx %s", c, got, want)
			}
		}
	}
}

// TestNothingIsSentInTheClear sends requests to a server that does not speak TLS.
func TestNothingIsSentInTheClear(t *testing.T) {
	ways(t, func(t *testing.T, cfg proxytest.Config) {
		var mu sync.Mutex
		var got []byte
		plain := startOrigin(t, "tcp", func(c *peerConn) {
			b := make([]byte, 1000)
			n, _ := c.Read(b)
			mu.Lock()
			got = append(got, b[:n]...)
			mu.Unlock()
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		})
		cfg.Text = "server { listen 127.0.0.1:80; location / { proxy_pass https://" + plain.addr + "; } location /u { uwsgi_pass suwsgi://" + plain.addr + "; } }"
		s := site(t, cfg)
		for _, request := range []string{get("/secret"), get("/u"), "POST /secret HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret"} {
			if res, _ := ask(t, s, request); res.StatusCode != 502 {
				t.Errorf("%q: got %d, want 502", request, res.StatusCode)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(got) == 0 || got[0] != 22 || strings.Contains(string(got), "secret") || strings.Contains(string(got), "HTTP/1") {
			t.Errorf("the server got %q", got)
		}
		s.Log.Wait(t, "SSL handshake failed (tls: first record does not look like a TLS handshake) while SSL handshaking to upstream")
	})
}

// A kept connection is used only for requests to the same name, and not after a reload with
// another file of CAs.
func TestKeptConnectionsAreForOneName(t *testing.T) {
	ca := newAuthority(t, "ca")
	o := startSecure(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, named("a.test", "b.test"))}}, echo)
	file := filepath.Join(t.TempDir(), "trusted")
	write := func(a *authority) {
		b, err := os.ReadFile(a.file)
		must(t, err)
		must(t, os.WriteFile(file, b, 0o644))
	}
	write(ca)
	text := "server { listen 127.0.0.1:80; location / { proxy_pass " + o.url + "; proxy_ssl_verify on; proxy_ssl_trusted_certificate " + file + "; proxy_ssl_name $arg_name; } }"
	s := newSite(t, text)
	for i, c := range []struct {
		name          string
		status, conns int
	}{{"a.test", 200, 1}, {"a.test", 200, 1}, {"b.test", 200, 2}, {"a.test", 200, 2}, {"c.test", 502, 3}, {"b.test", 200, 3}} {
		if res, _ := ask(t, s, get("/?name="+c.name)); res.StatusCode != c.status || o.accepted() != c.conns {
			t.Errorf("request %d: %d, %d connections; want %d, %d", i, res.StatusCode, o.accepted(), c.status, c.conns)
		}
	}
	write(newAuthority(t, "other"))
	must(t, s.Reload(text))
	if res, _ := ask(t, s, get("/?name=a.test")); res.StatusCode != 502 {
		t.Errorf("without the CA: got %d, want 502", res.StatusCode)
	}
	s.Log.Wait(t, "upstream SSL certificate does not match \"c.test\" while SSL handshaking to upstream")
	s.Log.Wait(t, "upstream SSL certificate verify error: (21:unable to verify the first certificate) while SSL handshaking to upstream")
}

// A client that leaves while a server is silent in the handshake ends its request, and a
// handshake takes no longer than proxy_connect_timeout.
func TestASilentHandshakeEnds(t *testing.T) {
	ended := make(chan error, 2)
	silent := startOrigin(t, "tcp", func(c *peerConn) {
		_, err := io.Copy(io.Discard, c.r)
		ended <- err
	})
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass https://"+silent.addr+"; } location /short { proxy_pass https://"+silent.addr+"; proxy_connect_timeout 100ms; } }")
	if res, _ := ask(t, s, get("/short")); res.StatusCode != 504 {
		t.Errorf("%d, want 504", res.StatusCode)
	}
	<-ended
	s.Log.Wait(t, "upstream timed out (110: Connection timed out) while SSL handshaking to upstream")
	nc := s.Dial("")
	io.WriteString(nc, get("/"))
	proxytest.Eventually(t, func() bool { return silent.accepted() == 2 }, "the server is not connected to")
	nc.Close()
	<-ended
	s.Log.Wait(t, "client prematurely closed connection")
}

// uwsgi servers are reached by TLS, too.
func TestUwsgiOverTLS(t *testing.T) {
	g := gatewayProtocols[0]
	o := startOrigin(t, "tls", g.tell)
	s := newSite(t, "server { listen 127.0.0.1:80; location / { uwsgi_pass suwsgi://"+o.addr+"; uwsgi_param A b; uwsgi_param CONTENT_LENGTH $content_length; } }")
	res, body := ask(t, s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	if g.name != "uwsgi" || res.StatusCode != 200 || !strings.Contains(body, "A=b\n") || !strings.Contains(body, "3 bytes abc") {
		t.Errorf("%s: got %d %q, want 200 with A=b and 3 bytes", g.name, res.StatusCode, body)
	}
}

// Answers are read ahead of a slow client, with the bytes of a long one that TLS holds.
func TestLongAnswersOverTLS(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 250_000)
	o := startOrigin(t, "tls", func(c *peerConn) {
		for r, _ := c.request(); r != nil; r, _ = c.request() {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long)
		}
	})
	for _, settings := range []string{"", "proxy_buffering off;", "proxy_max_temp_file_size 0;", "proxy_http_version 1.0;"} {
		s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass "+o.url+"; "+settings+" } }")
		nc := s.Dial("")
		r := bufio.NewReader(nc)
		for range 2 { // the second by a connection that was kept
			if res, body := exchange(t, nc, r, get("/")); res.StatusCode != 200 || body != long {
				t.Errorf("%s: got %d, %d bytes, want 200, %d bytes", settings, res.StatusCode, len(body), len(long))
			}
		}
	}
}
