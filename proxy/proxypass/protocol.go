package proxypass

import (
	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// protocol is a protocol in which requests are passed on. Each has a family of directives:
// proxy_* and so on.
type protocol struct {
	name    string   // of the family, without "_"
	scheme  string   // in logs
	cgi     bool     // heads of answers are those of CGI
	chunks  bool     // a body of unknown length may be passed on while it comes
	records bool     // answers come in FastCGI's records
	secure  bool     // servers may be reached by TLS
	hidden  []string // fields of answers that clients do not get without PROTOCOL_pass_header
	unseen  string   // these fields and X-Accel-*, for help texts
	own     func(k *key) []config.Directive
	encoder func(c *settings, location string) encoder
	key     *key
}

// encoder writes the requests of a location.
type encoder interface {
	// append appends the head of x's request. length is the length of the body, or noBody
	// or chunkedBody.
	append(dst []byte, x *proxy.Exchange, to place, length int64) ([]byte, error)
	// body appends a complete body.
	body(dst, body []byte) []byte
	// framing returns the framing of a body that is sent in parts.
	framing(length int64) upstream.Framing
	// url appends the request's URI for the log, where it follows the peer's address.
	url(dst, request []byte) []byte
}

// place has the facts from which an encoder makes a request's URI, beside its location.
type place struct {
	moved bool   // a rewrite in the location has changed the path
	uri   string // the URI in a proxy_pass with variables; "": none
}

// Values that encoders get in place of the body's length.
const (
	noBody      = -1 // there is no body
	chunkedBody = -2 // the length is unknown
)

// protocols returns all protocols.
func protocols() []*protocol {
	all := []*protocol{
		{name: "proxy", scheme: "http", chunks: true, secure: true, hidden: []string{"date", "server", "x-pad"}, unseen: "Date, Server, X-Pad and X-Accel-*", own: httpDirectives, encoder: newHTTPEncoder},
		{name: "uwsgi", scheme: "uwsgi", cgi: true, secure: true, unseen: "X-Accel-*", own: uwsgiDirectives, encoder: newUwsgiEncoder},
		{name: "fastcgi", scheme: "fastcgi", cgi: true, records: true, hidden: []string{"status"}, unseen: "Status and X-Accel-*", own: fastcgiDirectives, encoder: newFastCGIEncoder},
		{name: "scgi", scheme: "scgi", cgi: true, hidden: []string{"status"}, unseen: "Status and X-Accel-*", own: scgiDirectives, encoder: newSCGIEncoder},
	}
	for _, p := range all {
		p.key = newKey()
	}
	return all
}
