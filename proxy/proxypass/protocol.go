package proxypass

import (
	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// protocol is how requests are passed on. Each has a family of directives: proxy_pass and
// so on.
type protocol struct {
	name    string   // of the family
	scheme  string   // in logs
	cgi     bool     // heads of answers are those of CGI
	chunks  bool     // a body of unknown length may be passed on while it comes
	records bool     // answers come in FastCGI's records
	secure  bool     // servers may be reached by TLS
	hidden  []string // fields of answers that clients do not see unless PROTOCOL_pass_header says so
	unseen  string   // the same, with those for this server, in words
	own     func(k *key) []config.Directive
	encoder func(c *settings, location string) encoder
	key     *key
}

// encoder writes the requests of a location.
type encoder interface {
	// append appends what stands before the body of x's request. length is the body's,
	// or one of the constants below.
	append(dst []byte, x *proxy.Exchange, to place, length int64) ([]byte, error)
	// body appends a body that is there, whole.
	body(dst, body []byte) []byte
	// framing is that of the parts of another one.
	framing(length int64) upstream.Framing
	// url appends what a log shows of the request behind the peer's address.
	url(dst, request []byte) []byte
}

// place is what a request's URI follows from, beside the location.
type place struct {
	moved bool   // a rewrite in the location has changed the path
	uri   string // of the URL that variables have made; "": none
}

// What an encoder is told of the body in place of its length.
const (
	noBody      = -1
	chunkedBody = -2
)

// protocols returns the protocols that there are.
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
