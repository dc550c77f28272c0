package ocsp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"alicorn/proxy/proxytest"
	"alicorn/tls/ocsp"
)

// identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newIdentity(t *testing.T, c x509.Certificate, by *identity) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := &identity{key: key}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(100*24*time.Hour)
	parent, signer := &c, id.key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if id.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return id
}

func newRoot(t *testing.T) *identity {
	return newIdentity(t, x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true}, nil)
}

// responder answers with what answer gives.
type responder struct {
	*httptest.Server
	asked atomic.Int32
}

func newResponder(t *testing.T, answer func(w http.ResponseWriter, question *xocsp.Request)) *responder {
	t.Helper()
	r := &responder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked.Add(1)
		der, _ := io.ReadAll(q.Body)
		if q.Method == "GET" {
			text, _ := url.QueryUnescape(strings.TrimPrefix(q.URL.EscapedPath(), "/"))
			der, _ = base64.StdEncoding.DecodeString(text)
		}
		question, err := xocsp.ParseRequest(der)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		answer(w, question)
	}))
	t.Cleanup(r.Close)
	return r
}

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) log(_ slog.Level, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func newStaples(t *testing.T, o ocsp.Options) *ocsp.Staples {
	s := ocsp.New(o)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOnlyGoodResponsesAreShown(t *testing.T) {
	root, stranger := newRoot(t), newRoot(t)
	leaf := newIdentity(t, x509.Certificate{SerialNumber: big.NewInt(7), DNSNames: []string{"shop.example"}}, root)
	delegate := newIdentity(t, x509.Certificate{SerialNumber: big.NewInt(8), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, root)
	server := newIdentity(t, x509.Certificate{SerialNumber: big.NewInt(9), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, root)
	now := time.Now()
	good := xocsp.Response{Status: xocsp.Good, SerialNumber: leaf.cert.SerialNumber, ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour)}
	with := func(change func(r *xocsp.Response)) xocsp.Response { r := good; change(&r); return r }
	for _, c := range []struct {
		name     string
		response xocsp.Response
		by       *identity
		problem  string // "": it is shown
	}{
		{"good", good, root, ""},
		{"without an end", with(func(r *xocsp.Response) { r.NextUpdate = time.Time{} }), root, ""},
		{"by a delegate", with(func(r *xocsp.Response) { r.Certificate = delegate.cert }), delegate, ""},
		{"by a delegate for something else", with(func(r *xocsp.Response) { r.Certificate = server.cert }), server, "may not sign it"},
		{"by a stranger", good, stranger, "the response cannot be used: "},
		{"about another certificate", with(func(r *xocsp.Response) { r.SerialNumber = big.NewInt(77) }), root, "the response cannot be used: "},
		{"revoked", with(func(r *xocsp.Response) { r.Status, r.RevokedAt = xocsp.Revoked, now.Add(-time.Hour) }), root, "the certificate was revoked on 20"},
		{"unknown", with(func(r *xocsp.Response) { r.Status = xocsp.Unknown }), root, "the responder does not know the certificate"},
		{"expired", with(func(r *xocsp.Response) { r.ThisUpdate, r.NextUpdate = now.Add(-2*time.Hour), now.Add(-time.Hour) }), root, "the response has expired"},
		{"of the future", with(func(r *xocsp.Response) { r.ThisUpdate = now.Add(time.Hour) }), root, "the response is not valid yet"},
	} {
		der, err := xocsp.CreateResponse(root.cert, c.by.cert, c.response, c.by.key)
		if err != nil {
			t.Fatal(err)
		}
		r := newResponder(t, func(w http.ResponseWriter, q *xocsp.Request) {
			if q.SerialNumber.Cmp(leaf.cert.SerialNumber) != 0 {
				t.Errorf("asked about %v, want %v", q.SerialNumber, leaf.cert.SerialNumber)
			}
			w.Write(der)
		})
		s, log := newStaples(t, ocsp.Options{}), &lines{}
		staple := s.Staple(leaf.cert, root.cert, r.URL)
		if staple.Response() != nil {
			t.Errorf("%s: there is a response before anybody was asked", c.name)
		}
		s.Use([]*ocsp.Staple{staple}, log.log)
		if c.problem == "" {
			proxytest.Eventually(t, func() bool { return string(staple.Response()) == string(der) }, "%s: the response is not shown", c.name)
			continue
		}
		proxytest.Eventually(t, func() bool { return strings.Contains(log.String(), c.problem) }, "%s: the log does not tell %q", c.name, c.problem)
		if !strings.HasPrefix(log.String(), "cannot get the OCSP response for certificate shop.example: ") || staple.Response() != nil {
			t.Errorf(`%s: shown %v, log %s; want "cannot get the OCSP response for certificate shop.example: " at its beginning and nil`, c.name, staple.Response() != nil, log)
		}
	}
}

func TestResponsesAreRenewedAndEnd(t *testing.T) {
	root := newRoot(t)
	leaf := newIdentity(t, x509.Certificate{SerialNumber: big.NewInt(7)}, root)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	var broken atomic.Bool
	r := newResponder(t, func(w http.ResponseWriter, _ *xocsp.Request) {
		der, err := xocsp.CreateResponse(root.cert, root.cert, xocsp.Response{SerialNumber: leaf.cert.SerialNumber, ThisUpdate: now().Add(-time.Minute), NextUpdate: now().Add(time.Second)}, root.key)
		if broken.Load() || err != nil {
			http.Error(w, "down", 503)
			return
		}
		w.Write(der)
	})
	s, log := newStaples(t, ocsp.Options{Now: now, Pause: time.Millisecond}), &lines{}
	staple := s.Staple(leaf.cert, root.cert, r.URL)
	s.Use([]*ocsp.Staple{staple}, log.log)
	proxytest.Eventually(t, func() bool { return staple.Response() != nil && r.asked.Load() > 2 }, "the responder is asked once only")
	broken.Store(true)
	before := r.asked.Load()
	proxytest.Eventually(t, func() bool { return r.asked.Load() > before+3 }, "a responder that fails is not asked again")
	ahead.Store(int64(time.Hour))
	if staple.Response() != nil {
		t.Error("a response is shown after its end")
	}
	if got := log.String(); strings.Count(got, "503") != 1 {
		t.Errorf("one failure is logged so (want \"503\" once):\n%s", got)
	}
	broken.Store(false)
	proxytest.Eventually(t, func() bool { return staple.Response() != nil }, "the responder has recovered, and nothing is shown")
}

func TestResponsesOutliveConfigurationsThatWantThem(t *testing.T) {
	root := newRoot(t)
	leaf := newIdentity(t, x509.Certificate{SerialNumber: big.NewInt(7)}, root)
	r := newResponder(t, func(w http.ResponseWriter, q *xocsp.Request) {
		der, _ := xocsp.CreateResponse(root.cert, root.cert, xocsp.Response{SerialNumber: q.SerialNumber, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}, root.key)
		w.Write(der)
	})
	s, log := newStaples(t, ocsp.Options{}), &lines{}
	first := s.Staple(leaf.cert, root.cert, r.URL)
	s.Use([]*ocsp.Staple{first}, log.log)
	proxytest.Eventually(t, func() bool { return first.Response() != nil }, "nothing is shown")
	again := s.Staple(leaf.cert, root.cert, r.URL)
	s.Use([]*ocsp.Staple{again}, log.log)
	if again.Response() == nil || r.asked.Load() != 1 {
		t.Errorf("after a reload nothing is shown, or asked again: %d questions", r.asked.Load())
	}
	s.Use(nil, log.log)
	if s.Staple(leaf.cert, root.cert, r.URL).Response() != nil {
		t.Error("what no configuration wants is kept")
	}
}

func TestRespondersThatMisbehaveAreGivenUp(t *testing.T) {
	root := newRoot(t)
	leaf := newIdentity(t, x509.Certificate{SerialNumber: big.NewInt(7)}, root)
	leave := make(chan struct{})
	for _, c := range []struct {
		name, problem string
		answer        func(w http.ResponseWriter, _ *xocsp.Request)
	}{
		{"endless", "more than 65536 bytes", func(w http.ResponseWriter, _ *xocsp.Request) {
			for b := make([]byte, 4096); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}},
		{"garbage", "the response cannot be used: ", func(w http.ResponseWriter, _ *xocsp.Request) { io.WriteString(w, "garbage") }},
		{"elsewhere", "answers 302 Found", func(w http.ResponseWriter, _ *xocsp.Request) {
			w.Header().Set("Location", "/other")
			w.WriteHeader(302)
		}},
		{"hanging up", "cannot ask http://127.0.0.1:", func(http.ResponseWriter, *xocsp.Request) { panic(http.ErrAbortHandler) }},
		{"silent", "", func(http.ResponseWriter, *xocsp.Request) { <-leave }},
	} {
		r := newResponder(t, c.answer)
		s, log := ocsp.New(ocsp.Options{}), &lines{}
		s.Use([]*ocsp.Staple{s.Staple(leaf.cert, root.cert, r.URL)}, log.log)
		proxytest.Eventually(t, func() bool { return r.asked.Load() == 1 && strings.Contains(log.String(), c.problem) }, "%s: not told", c.name)
		s.Close() // hangs where a question is not given up
	}
	close(leave)
}
