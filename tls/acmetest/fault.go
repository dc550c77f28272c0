package acmetest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Fault is a wrong answer.
type Fault struct {
	Status     int           // of HTTP
	RetryAfter time.Duration // of the field Retry-After, in whole seconds; 0: none
	Type       string        // of a problem document (RFC 8555 section 6.7), as "rateLimited"; "": none
	Detail     string        // of the problem document
	Body       string        // the content, without a problem document
}

// Unavailable is the answer of an authority that is down behind its front.
func Unavailable() Fault {
	return Fault{Status: http.StatusServiceUnavailable, Body: "<h1>503 Service Unavailable</h1>"}
}

// Garbage is an answer that is no ACME at all.
func Garbage() Fault { return Fault{Status: http.StatusOK, Body: "\x00\xff{]not json"} }

// RateLimited asks the client to come back after this long.
func RateLimited(after time.Duration) Fault {
	return Fault{Status: http.StatusTooManyRequests, RetryAfter: after, Type: "rateLimited", Detail: "too many certificates already issued"}
}

// Rejected is the answer for a name that the authority will not issue for.
func Rejected() Fault {
	return Fault{Status: http.StatusBadRequest, Type: "rejectedIdentifier", Detail: "the server will not issue certificates for the identifier"}
}

func (f *Fault) write(w http.ResponseWriter) {
	h, body := w.Header(), []byte(f.Body)
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	if f.Type != "" {
		h.Set("Content-Type", "application/problem+json")
		body, _ = json.Marshal(map[string]any{"type": "urn:ietf:params:acme:error:" + f.Type, "detail": f.Detail, "status": f.Status})
	}
	w.WriteHeader(f.Status)
	w.Write(body)
}

// Pause begins an outage: connections end, and new ones are refused.
func (c *CA) Pause() { c.gate.shut() }

// Resume ends an outage, at the same address.
func (c *CA) Resume() {
	c.t.Helper()
	if err := c.gate.open(); err != nil {
		c.t.Fatal(err)
	}
}

// Break has every request answered with f until Mend.
func (c *CA) Break(f Fault) {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.broken = &f
}

// Refuse has every order that contains name answered with f until Mend.
func (c *CA) Refuse(name string, f Fault) {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.refused[name] = f
}

// Mend ends what Break and Refuse began.
func (c *CA) Mend() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.broken = nil
	clear(c.gate.refused)
}

// Hold keeps clients waiting for the answer to their finalisation, the last
// step of an order but the download, until Release. Meanwhile Held counts.
func (c *CA) Hold() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if c.gate.hold == nil {
		c.gate.hold = make(chan struct{})
	}
}

// Release answers the finalisations that Hold kept.
func (c *CA) Release() { c.gate.release() }

// Held returns how many finalisations wait for Release.
func (c *CA) Held() int {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.held
}

// Requests returns how many requests of any kind have come in.
func (c *CA) Requests() int {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.requests
}

// Orders returns how many orders for name were made or refused by Refuse; for
// "", how many in all. One whose nonce was bad is none.
func (c *CA) Orders(name string) int {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.orders[name]
}

// Certificates returns how many certificates for name were issued; for "", how
// many in all. Names are those of the order, as "*.example.test".
func (c *CA) Certificates(name string) int {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.certificates[name]
}
