package acmetest_test

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"alicorn/tls/acmetest"
)

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// answers is a server for HTTP-01 challenges.
type answers struct {
	sync.Map
	port int
}

func newAnswers(t *testing.T) *answers {
	a := &answers{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v, ok := a.Load(strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/")); ok {
			io.WriteString(w, v.(string))
		}
	}))
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	a.port, _ = strconv.Atoi(port)
	return a
}

func (a *answers) put(token, authorization string) { a.Store(token, authorization) }

// deploy/test.sh runs this one first, while there is a network.
func TestPebbleIsBuilt(t *testing.T) {
	t.Parallel()
	acmetest.Start(t, acmetest.Options{})
}

func TestACertificateIsOrderedWithHTTP01(t *testing.T) {
	t.Parallel()
	web := newAnswers(t)
	ca := acmetest.Start(t, acmetest.Options{HTTPPort: web.port, Challenges: []string{"http-01"}, Lifetime: 90 * time.Second})
	c := newClient(t, ca)
	o, url, _ := c.begin("shop.example.test")
	c.prove(o, web.put)
	c.finalize(o, "shop.example.test")
	chain := c.download(url)
	leaf := chain[0]
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: "shop.example.test", Roots: ca.Roots(), Intermediates: poolOf(chain[1:])})
	if err != nil {
		t.Error(err)
	}
	if got := leaf.NotAfter.Sub(leaf.NotBefore); got != 90*time.Second {
		t.Errorf("the certificate is valid for %v, want %v", got, 90*time.Second)
	}
	if o, n := ca.Orders("shop.example.test"), ca.Certificates("shop.example.test"); o != 1 || n != 1 {
		t.Errorf("%d orders, %d certificates, want one each", o, n)
	}
	if ca.Orders("") != 1 || ca.Orders("other.example.test") != 0 {
		t.Errorf("%d orders in all, %d for a name that nobody asked for; want 1 and 0", ca.Orders(""), ca.Orders("other.example.test"))
	}
}

func poolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

func TestAWildcardIsOrderedWithTheDNSHook(t *testing.T) {
	t.Parallel()
	ca := acmetest.Start(t, acmetest.Options{Challenges: []string{"dns-01"}})
	c := newClient(t, ca)
	o, url, _ := c.begin("*.example.test")
	run := func(args ...string) {
		if out, err := exec.Command(ca.DNSHook(), args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	c.prove(o, func(_, authorization string) {
		sum := sha256.Sum256([]byte(authorization))
		run("present", "_acme-challenge.example.test", b64(sum[:]))
	})
	if got := ca.TXT("_acme-challenge.example.test"); len(got) != 1 {
		t.Errorf("after present: %q; want one", got)
	}
	run("cleanup", "_acme-challenge.example.test.", "whatever")
	if got := ca.TXT("_acme-challenge.example.test"); len(got) != 0 {
		t.Errorf("after cleanup: %q; want nothing", got)
	}
	c.finalize(o, "*.example.test")
	if chain := c.download(url); !slices.Equal(chain[0].DNSNames, []string{"*.example.test"}) || ca.Certificates("*.example.test") != 1 {
		t.Errorf("got %v, %d certificates; want %v and 1", chain[0].DNSNames, ca.Certificates("*.example.test"), []string{"*.example.test"})
	}
}

func TestValidationFailsForNamesThatDoNotResolveHere(t *testing.T) {
	t.Parallel()
	web := newAnswers(t)
	ca := acmetest.Start(t, acmetest.Options{HTTPPort: web.port, Challenges: []string{"http-01"}})
	ca.Resolve("elsewhere.example.test", "127.0.0.77")
	ca.Fail("failing.example.test")
	c := newClient(t, ca)
	for _, name := range []string{"elsewhere.example.test", "failing.example.test"} {
		o, _, _ := c.begin(name)
		authz, _ := c.read(o.Authorizations[0], nil)
		c.post(authz.Challenges[0].URL, struct{}{})
		c.await(o.Authorizations[0], "invalid")
	}
	ca.Resolve("failing.example.test", "127.0.0.1")
	o, _, _ := c.begin("failing.example.test")
	c.prove(o, web.put)
}

func TestAnOutageRefusesConnectionsUntilItEnds(t *testing.T) {
	t.Parallel()
	ca := acmetest.Start(t, acmetest.Options{})
	h := trusting(t, ca)
	for round := range 2 {
		if status := get(t, h, ca.Directory()); status != 200 {
			t.Fatalf("round %d: %d; want 200", round, status)
		}
		before := ca.Requests()
		ca.Pause()
		h.CloseIdleConnections() // it may not have heard of their end yet
		if _, err := h.Get(ca.Directory()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("round %d: during the outage: %v; want %v", round, err, syscall.ECONNREFUSED)
		}
		ca.Resume()
		if n := ca.Requests(); n != before {
			t.Errorf("round %d: %d requests were counted during the outage, want 0", round, n-before)
		}
	}
	if status := get(t, h, ca.Directory()); status != 200 {
		t.Errorf("after the outage: %d; want 200", status)
	}
}

func get(t *testing.T, h *http.Client, url string) int {
	t.Helper()
	res, err := h.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

func TestFaultsAreAnsweredUntilMended(t *testing.T) {
	t.Parallel()
	ca := acmetest.Start(t, acmetest.Options{})
	c := newClient(t, ca)
	for _, f := range []acmetest.Fault{acmetest.Unavailable(), acmetest.Garbage(), acmetest.RateLimited(7 * time.Second)} {
		ca.Break(f)
		res, err := c.http.Get(ca.Directory())
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		after := ""
		if f.RetryAfter > 0 {
			after = "7"
		}
		if res.StatusCode != f.Status || res.Header.Get("Retry-After") != after {
			t.Errorf("%+v: got %s %v; want StatusCode %v and Retry-After %q", f, res.Status, res.Header, f.Status, after)
		}
	}
	ca.Mend()
	ca.Refuse("bad.example.test", acmetest.Rejected())
	if o, _, res := c.begin("bad.example.test"); res.StatusCode != 400 || o.Type != "urn:ietf:params:acme:error:rejectedIdentifier" {
		t.Errorf(`the refused name: %s %+v; want StatusCode 400 and Type "urn:ietf:params:acme:error:rejectedIdentifier"`, res.Status, o)
	}
	if o, _, _ := c.begin("good.example.test"); o.Status != "pending" {
		t.Errorf(`another name: %+v; want Status "pending"`, o)
	}
	ca.Mend()
	if o, _, _ := c.begin("bad.example.test"); o.Status != "pending" || ca.Orders("bad.example.test") != 2 {
		t.Errorf(`after Mend: %+v, %d orders; want Status "pending" and 2`, o, ca.Orders("bad.example.test"))
	}
}

func TestHeldFinalisationsWaitForRelease(t *testing.T) {
	t.Parallel()
	web := newAnswers(t)
	ca := acmetest.Start(t, acmetest.Options{HTTPPort: web.port, Challenges: []string{"http-01"}})
	c := newClient(t, ca)
	o, url, _ := c.begin("shop.example.test")
	c.prove(o, web.put)
	ca.Hold()
	done := make(chan struct{})
	go func() { c.finalize(o, "shop.example.test"); close(done) }()
	for deadline := time.Now().Add(60 * time.Second); ca.Held() != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no finalisation is held")
		}
	}
	if n := ca.Certificates(""); n != 0 {
		t.Errorf("%d certificates while held, want 0", n)
	}
	ca.Release()
	<-done
	if chain := c.download(url); len(chain) < 2 || ca.Certificates("") != 1 || ca.Held() != 0 {
		t.Errorf("a chain of %d, %d certificates, %d held; want at least 2, 1 and 0", len(chain), ca.Certificates(""), ca.Held())
	}
}

func TestExternalAccountsAreDemanded(t *testing.T) {
	t.Parallel()
	ca := acmetest.Start(t, acmetest.Options{ExternalAccount: true})
	c := &client{t: t, http: trusting(t, ca), key: newKey(t)}
	c.dir.NewNonce = strings.Replace(ca.Directory(), "/dir", "/nonce-plz", 1)
	c.dir.NewAccount = strings.Replace(ca.Directory(), "/dir", "/sign-me-up", 1)
	res, text := c.post(c.dir.NewAccount, map[string]any{"termsOfServiceAgreed": true})
	if res.StatusCode != 403 || !strings.Contains(string(text), "externalAccountRequired") {
		t.Errorf(`got %s %s; want StatusCode 403 and "externalAccountRequired" in it`, res.Status, text)
	}
}

func TestARenewalIsSuggested(t *testing.T) {
	t.Parallel()
	web := newAnswers(t)
	ca := acmetest.Start(t, acmetest.Options{HTTPPort: web.port, Challenges: []string{"http-01"}})
	c := newClient(t, ca)
	o, url, _ := c.begin("shop.example.test")
	c.prove(o, web.put)
	c.finalize(o, "shop.example.test")
	leaf := c.download(url)[0]
	ca.SuggestRenewal(leaf)
	id := b64(leaf.AuthorityKeyId) + "." + b64(leaf.SerialNumber.Bytes())
	res, err := c.http.Get(strings.Replace(ca.Directory(), "/dir", "/draft-ietf-acme-ari-03/renewalInfo/"+id, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if want := fmt.Sprint(time.Now().UTC().Add(-time.Hour).Format("2006-01-02T15")); !strings.Contains(string(text), want) {
		t.Errorf("got %s %s, want a window from %s", res.Status, text, want)
	}
}
