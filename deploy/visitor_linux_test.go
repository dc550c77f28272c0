package deploy_test

import (
	gocontext "context" // context is something else here
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/tls/acmetest"
)

// password is that of the shop's superuser.
const password = "for-the-keeper-alone"

// letsEncrypt is the host whose directory alicorn knows by itself.
const letsEncrypt = "acme-v02.api.letsencrypt.org"

// visitor is somebody in the Internet that a machine is connected to, who
// trusts the certificates of Let's Encrypt.
type visitor struct {
	t         *testing.T
	ca        *acmetest.CA
	roots     *x509.CertPool
	authority []byte // what a server must trust to reach Let's Encrypt, in PEM
}

// newVisitor starts Let's Encrypt, at 203.0.113.1.
func newVisitor(t *testing.T) *visitor {
	t.Helper()
	ca := acmetest.Start(t, acmetest.Options{HTTPPort: 80, TLSPort: 443})
	ca.Resolve("shop.example.com", "203.0.113.5", "2001:db8::5")
	directory, err := url.Parse(ca.Directory())
	if err != nil {
		t.Fatal(err)
	}
	identity := selfSigned(t, letsEncrypt)
	v := &visitor{t: t, ca: ca, roots: ca.Roots(), authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: identity.Certificate[0]})}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // within this process
	server := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: directory.Host})
			r.Out.Host = r.In.Host // URLs in answers are made of it
			if r.In.URL.Path == "/directory" {
				r.Out.URL.Path = directory.Path
			}
		}},
	}
	listener, err := tls.Listen("tcp", "203.0.113.1:443", &tls.Config{Certificates: []tls.Certificate{identity}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { server.Serve(listener); close(served) }()
	t.Cleanup(func() { server.Close(); <-served; transport.CloseIdleConnections() })
	return v
}

// selfSigned makes a certificate for name, which is its own root.
func selfSigned(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// browser is a client that finds the shop, by that network, and follows no
// redirect.
func (v *visitor) browser(network string) *http.Client {
	address := map[string]string{"tcp4": "203.0.113.5", "tcp6": "2001:db8::5"}[network]
	jar, err := cookiejar.New(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return &http.Client{
		Timeout: 20 * time.Second, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: v.roots},
			DialContext: func(ctx gocontext.Context, _, target string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(target)
				if err != nil || host != "shop.example.com" {
					return nil, fmt.Errorf("cannot find %q: %w", target, err)
				}
				var d net.Dialer
				return d.DialContext(ctx, network, net.JoinHostPort(address, port))
			},
		},
	}
}

// answer is one that was read to its end.
type answer struct {
	*http.Response
	text string
}

func do(client *http.Client, r *http.Request) (answer, error) {
	res, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res, string(text)}, err
}

func (v *visitor) get(client *http.Client, url string) answer {
	v.t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	a, err := do(client, r)
	if err != nil {
		v.t.Fatal(err)
	}
	return a
}

// awaitTrusted waits until a browser shows url, by either network.
func (v *visitor) awaitTrusted(url string) {
	v.t.Helper()
	for _, network := range []string{"tcp4", "tcp6"} {
		var last error
		begun := time.Now()
		for ; ; time.Sleep(20 * time.Millisecond) {
			client := v.browser(network)
			r, err := http.NewRequest("GET", url, nil)
			if err != nil {
				v.t.Fatal(err)
			}
			a, err := do(client, r)
			client.CloseIdleConnections()
			if err == nil && a.StatusCode == http.StatusOK {
				break
			}
			if last = err; time.Since(begun) > time.Minute {
				v.t.Fatalf("%s is not served by %s: %v %q", url, network, last, a.text)
			}
		}
	}
}

// redirects: port 80 leads to HTTPS, which nobody is held to forever.
func (v *visitor) redirects() {
	v.t.Helper()
	client := v.browser("tcp4")
	defer client.CloseIdleConnections()
	a := v.get(client, "http://shop.example.com/admin/login/?next=/admin/")
	if a.StatusCode != http.StatusMovedPermanently || a.Header.Get("Location") != "https://shop.example.com/admin/login/?next=/admin/" {
		v.t.Errorf(`port 80 answers %s, %v; want StatusCode %v and Location "https://shop.example.com/admin/login/?next=/admin/"`, a.Status, a.Header, http.StatusMovedPermanently)
	}
	if a := v.get(client, "https://shop.example.com/admin/login/"); a.Header["Strict-Transport-Security"] != nil {
		v.t.Errorf("HSTS is claimed: %v; want nil", a.Header)
	}
}

// styledAdmin: the superuser logs in, and each page has its style.
func (v *visitor) styledAdmin() {
	v.t.Helper()
	client := v.browser("tcp4")
	defer client.CloseIdleConnections()
	const login = "https://shop.example.com/admin/login/?next=/admin/"
	form := v.get(client, login)
	v.isStyled(client, form)
	token := regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`).FindStringSubmatch(form.text)
	if token == nil {
		v.t.Fatalf("the form has no token: %s", form.text)
	}
	fields := url.Values{"csrfmiddlewaretoken": {token[1]}, "username": {"keeper"}, "password": {password}}
	r, err := http.NewRequest("POST", login, strings.NewReader(fields.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Referer", login) // Django demands it of requests by HTTPS
	if a, err := do(client, r); err != nil || a.StatusCode != http.StatusFound || a.Header.Get("Location") != "/admin/" {
		v.t.Fatalf(`the login is answered %v, %v: %s; want StatusCode %v and Location "/admin/"`, a.Response, err, a.text, http.StatusFound)
	}
	index := v.get(client, "https://shop.example.com/admin/")
	if index.StatusCode != http.StatusOK || !strings.Contains(index.text, "Site administration") {
		v.t.Errorf(`after the login: %s: %s; want StatusCode %v and "Site administration" in it`, index.Status, index.text, http.StatusOK)
	}
	v.isStyled(client, index)
}

// isStyled checks the stylesheets of a page.
func (v *visitor) isStyled(client *http.Client, page answer) {
	v.t.Helper()
	links := regexp.MustCompile(`<link [^>]*rel="stylesheet"[^>]* href="([^"]+)"`).FindAllStringSubmatch(page.text, -1)
	if len(links) == 0 {
		v.t.Errorf("the page has no stylesheet: %s", page.text)
	}
	for _, link := range links {
		a := v.get(client, "https://shop.example.com"+link[1])
		kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
		if a.StatusCode != http.StatusOK || kind != "text/css" || len(a.text) == 0 || a.Header.Get("Expires") == "" {
			v.t.Errorf("%s is answered %s, %v, %d bytes; want 200, text/css, some bytes and Expires", link[1], a.Status, a.Header, len(a.text))
		}
	}
}

// isServed checks which code a new request reaches.
func (v *visitor) isServed(want string) {
	v.t.Helper()
	client := v.browser("tcp4")
	defer client.CloseIdleConnections()
	if a := v.get(client, "https://shop.example.com/version"); a.text != want {
		v.t.Errorf("%s %q is served, want %q", a.Status, a.text, want)
	}
}

// load is clients that ask without a pause until one fails.
type load struct {
	t    *testing.T
	stop gocontext.CancelFunc
	done sync.WaitGroup

	mu  sync.Mutex
	n   int
	err error // the first
}

// load starts two clients with a kept connection each, and two with a new one
// for each request.
func (v *visitor) load() *load {
	ctx, stop := gocontext.WithCancel(gocontext.Background())
	l := &load{t: v.t, stop: stop}
	for i := range 4 {
		client := v.browser([]string{"tcp4", "tcp6"}[i%2])
		client.Transport.(*http.Transport).DisableKeepAlives = i < 2
		l.done.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil && l.ask(client) {
			}
		})
	}
	v.t.Cleanup(func() { l.end() })
	l.goesOn()
	return l
}

// ask does one request, and reports whether it was served. It is one that the
// client does not repeat when the connection ends.
func (l *load) ask(client *http.Client) bool {
	r, err := http.NewRequest("POST", "https://shop.example.com/version", io.NopCloser(strings.NewReader("x")))
	if err == nil {
		var a answer
		if a, err = do(client, r); err == nil && (a.StatusCode != http.StatusOK || !strings.HasPrefix(a.text, "the ")) {
			err = errors.New(a.Status + ": " + a.text)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	if l.err == nil {
		l.err = err
	}
	return err == nil
}

func (l *load) count() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n, l.err
}

// goesOn waits for more requests, or a failure.
func (l *load) goesOn() {
	l.t.Helper()
	before, _ := l.count()
	await(l.t, "clients are not answered", func() bool {
		n, err := l.count()
		return n >= before+20 || err != nil
	})
}

// end stops the clients, and gives the number of requests and the first failure.
func (l *load) end() (int, error) {
	l.stop()
	l.done.Wait()
	return l.count()
}
