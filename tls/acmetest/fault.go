package acmetest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Fault is a wrong answer.
type Fault struct {
	Status     int           // the HTTP status
	RetryAfter time.Duration // the field Retry-After, in whole seconds; 0: none
	Type       string        // the type of a problem document (RFC 8555 section 6.7), such as "rateLimited"; "": none
	Detail     string        // the detail of the problem document
	Body       string        // the content if there is no problem document
}

// Unavailable is the answer of a proxy whose authority is down.
func Unavailable() Fault {
	return Fault{Status: http.StatusServiceUnavailable, Body: "<h1>503 Service Unavailable</h1>"}
}

// Garbage is an answer that is not ACME.
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

// Break makes the gate answer all requests with f until Mend.
func (c *CA) Break(f Fault) {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.broken = &f
}

// Refuse makes the gate answer all orders that contain name with f until Mend.
func (c *CA) Refuse(name string, f Fault) {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.refused[name] = f
}

// Mend ends Break and Refuse.
func (c *CA) Mend() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.broken = nil
	clear(c.gate.refused)
}

// Hold makes clients wait, until Release, for the answer to their finalisation,
// which is the last step of an order before the download. Held counts them.
func (c *CA) Hold() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if c.gate.hold == nil {
		c.gate.hold = make(chan struct{})
	}
}

// Release answers the finalisations that wait for it.
func (c *CA) Release() { c.gate.release() }

// Held returns how many finalisations wait for Release.
func (c *CA) Held() int {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.held
}

// Requests returns how many requests of any kind have come.
func (c *CA) Requests() int {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.requests
}

// Orders returns how many orders for name were made, or refused by Refuse; for "" how
// many orders in all. An order whose nonce was bad does not count.
func (c *CA) Orders(name string) int {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.orders[name]
}

// Certificates returns how many certificates for name were issued; for "" how many in
// all. A name is that of the order, such as "*.example.test".
func (c *CA) Certificates(name string) int {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.certificates[name]
}
