package acmetest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Paths of pebble's resources.
const (
	newOrderPath = "/order-plz"
	finalizePath = "/finalize-order/"
	authzPath    = "/authZ/"
)

// gate is the server to which clients of the authority connect.
type gate struct {
	addr       string
	cert       tls.Certificate
	challenges []string
	proxy      *httputil.ReverseProxy

	mu           sync.Mutex
	server       *http.Server  // nil: paused
	served       chan struct{} // closed when server has ended
	requests     int
	orders       map[string]int // by name; "": all
	certificates map[string]int // likewise
	broken       *Fault
	refused      map[string]Fault
	hold         chan struct{} // not nil: finalisations wait until it is closed
	held         int
}

// openGate opens a gate to the pebble at address to.
func openGate(to string, cert tls.Certificate, pool *x509.CertPool, challenges []string) (*gate, error) {
	g := &gate{
		addr: "127.0.0.1:0", cert: cert, challenges: challenges,
		orders: map[string]int{}, certificates: map[string]int{}, refused: map[string]Fault{},
	}
	g.proxy = &httputil.ReverseProxy{
		// pebble makes URLs from the request's host, and checks signed ones with it.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: to})
			r.Out.Host = r.In.Host
		},
		Transport:      &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		ModifyResponse: g.observe,
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	return g, g.open()
}

// open listens, at the same address as before.
func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != nil {
		return nil
	}
	ln, err := net.Listen("tcp4", g.addr)
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); ln, err = net.Listen("tcp4", g.addr) {
		time.Sleep(5 * time.Millisecond) // a client of another server may have the port
	}
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	g.addr = ln.Addr().String()
	server := &http.Server{
		Handler: g, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{g.cert}},
	}
	served := make(chan struct{})
	go func() { server.ServeTLS(ln, "", ""); close(served) }()
	g.server, g.served = server, served
	return nil
}

// shut closes the listener and all connections.
func (g *gate) shut() {
	g.mu.Lock()
	server, served := g.server, g.served
	g.server = nil
	g.mu.Unlock()
	if server != nil {
		server.Close()
		<-served
	}
}

func (g *gate) close() {
	g.shut()
	g.release()
	g.proxy.Transport.(*http.Transport).CloseIdleConnections()
}

// ServeHTTP counts a request, and passes it on unless it must fail.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client has left
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var names []string
	if r.URL.Path == newOrderPath {
		names = namesOf(payload(body))
	}
	if f := g.admit(names); f != nil {
		f.write(w)
		return
	}
	if strings.HasPrefix(r.URL.Path, finalizePath) && !g.wait(r) {
		return
	}
	g.proxy.ServeHTTP(w, r)
}

// admit counts a request. names are those of an order; none for other requests. It
// returns the Fault with which the request fails, or nil.
func (g *gate) admit(names []string) *Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests++
	if g.broken != nil {
		return g.broken
	}
	for _, name := range names {
		if f, ok := g.refused[name]; ok {
			count(g.orders, names)
			return &f
		}
	}
	return nil
}

// wait blocks while Hold is in effect. It reports whether the client is still there.
func (g *gate) wait(r *http.Request) bool {
	g.mu.Lock()
	hold := g.hold
	if hold == nil {
		g.mu.Unlock()
		return true
	}
	g.held++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.held--
		g.mu.Unlock()
	}()
	select {
	case <-hold:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold != nil {
		close(g.hold)
		g.hold = nil
	}
}

// observe counts what pebble has accepted, and removes the challenges that Options do
// not offer.
func (g *gate) observe(res *http.Response) error {
	path := res.Request.URL.Path
	ordered := path == newOrderPath && res.StatusCode == http.StatusCreated
	finalized := strings.HasPrefix(path, finalizePath) && res.StatusCode == http.StatusOK
	authorized := strings.HasPrefix(path, authzPath) && res.StatusCode == http.StatusOK && len(g.challenges) > 0
	if !ordered && !finalized && !authorized {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	res.Body.Close()
	switch {
	case ordered:
		g.count(g.orders, namesOf(body))
	case finalized:
		g.count(g.certificates, namesOf(body))
	default:
		if body, err = offer(body, g.challenges); err != nil {
			return err
		}
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

func (g *gate) count(of map[string]int, names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	count(of, names)
}

func count(of map[string]int, names []string) {
	of[""]++
	for _, name := range names {
		of[name]++
	}
}

// payload returns the payload of a JWS in the flattened JSON form (RFC 7515); nil for
// anything else.
func payload(jws []byte) []byte {
	var signed struct{ Payload string }
	if json.Unmarshal(jws, &signed) != nil {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(signed.Payload)
	if err != nil {
		return nil
	}
	return text
}

// namesOf returns the identifiers of an order, each once.
func namesOf(order []byte) []string {
	var o struct{ Identifiers []struct{ Value string } }
	if json.Unmarshal(order, &o) != nil {
		return nil
	}
	var names []string
	for _, id := range o.Identifiers {
		if !slices.Contains(names, id.Value) {
			names = append(names, id.Value)
		}
	}
	return names
}

// offer removes the challenges of other kinds from an authorization.
func offer(authz []byte, kinds []string) ([]byte, error) {
	var a map[string]any
	if err := json.Unmarshal(authz, &a); err != nil {
		return nil, fmt.Errorf("cannot read an authorization: %w", err)
	}
	all, _ := a["challenges"].([]any)
	a["challenges"] = slices.DeleteFunc(all, func(c any) bool {
		fields, _ := c.(map[string]any)
		kind, _ := fields["type"].(string)
		return !slices.Contains(kinds, kind)
	})
	return json.Marshal(a)
}
