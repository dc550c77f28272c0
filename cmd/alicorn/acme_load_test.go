package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"alicorn/tls/acmetest"
)

// visitors send requests to a server with HTTPS, each with a full handshake
// that a browser would accept, until they are told to stop.
type visitors struct {
	h      *httpsHost
	config *tls.Config
	wg     sync.WaitGroup
	cancel context.CancelFunc

	mu      sync.Mutex
	answers int
	first   error
	serials map[string]int // of certificates that were shown
}

// visit starts some that make a connection for each request and some that
// keep theirs.
func (h *httpsHost) visit(name string) *visitors {
	ctx, cancel := context.WithCancel(h.t.Context())
	v := &visitors{h: h, cancel: cancel, serials: map[string]int{}, config: &tls.Config{ServerName: name, RootCAs: h.ca.Roots()}}
	for range 2 {
		v.wg.Go(func() { v.connect(ctx, 1) })
		v.wg.Go(func() { v.connect(ctx, 1<<30) })
	}
	return v
}

// connect sends this many requests on each connection.
func (v *visitors) connect(ctx context.Context, each int) {
	for ctx.Err() == nil {
		nc, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp4", v.h.addr+":443", v.config)
		if err != nil {
			v.note("", err)
			return
		}
		serial := nc.ConnectionState().PeerCertificates[0].SerialNumber.String()
		for n := 0; n < each && ctx.Err() == nil; n++ {
			closing, err := oneRequest(nc, bufio.NewReader(nc))
			v.note(serial, err)
			if err != nil || closing {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
		nc.Close()
	}
}

func (v *visitors) note(serial string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answers++
	if serial != "" {
		v.serials[serial]++
	}
	if err != nil && v.first == nil {
		v.first = err
	}
}

// seen is how many certificates were shown.
func (v *visitors) seen() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.serials)
}

// failed reports whether one has given up.
func (v *visitors) failed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.first != nil
}

// stop ends them; it returns how many answers there were, and the first
// failure.
func (v *visitors) stop() (int, error) {
	v.cancel()
	v.wg.Wait()
	return v.answers, v.first
}

// Certificates that live shorter than the test are renewed in time, and no
// visitor notices.
func TestARenewalDropsNoConnection(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		t.Run(master, func(t *testing.T) {
			t.Parallel()
			h := newHTTPSHost(t, acmetest.Options{Lifetime: 24 * time.Second})
			h.run(master + shop)
			h.awaitTrusted("shop.example.com")
			v := h.visit("shop.example.com")
			h.await(func() bool { return v.seen() >= 3 || v.failed() }, "no two renewals were seen")
			if n, err := v.stop(); err != nil || n < 50 {
				t.Errorf("%d answers, the first failure: %v; want at least 50", n, err)
			}
		})
	}
}

// A renewal that is asked for is made at once.
func TestARenewalIsAskedForByName(t *testing.T) {
	t.Parallel()
	h := newHTTPSHost(t, acmetest.Options{})
	h.run(shop)
	before := h.awaitTrusted("shop.example.com")
	v := h.visit("shop.example.com")
	h.verb("cert", "renew", "shop.example.com")
	after := h.awaitTrusted("shop.example.com")
	if before.SerialNumber.Cmp(after.SerialNumber) == 0 {
		t.Errorf("certificate %v is shown still, want a new one", after.SerialNumber)
	}
	if n, err := v.stop(); err != nil || n == 0 {
		t.Errorf("%d answers, the first failure: %v", n, err)
	}
	if out, err := h.try("cert", "renew", "other.example.com"); err == nil {
		t.Errorf("a name that is not served was renewed: %s", out)
	}
	if h.ca.Certificates("shop.example.com") != 2 {
		t.Errorf("%d certificates, want 2", h.ca.Certificates("shop.example.com"))
	}
}
