package proxy

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
)

// Serve takes x, whose request head is complete, through the phases, until its response
// has ended and its log lines are written, or until x is Suspended. x.Conn must be
// registered.
func (e *Engine) Serve(x *Exchange) {
	e.serveWith(x, nil)
	e.resumeHere(x)
}

// ServeError answers a request that could not be read with err's status. error_page and
// the log phase handle it as any other. x.Req has the fields that could be read.
func (e *Engine) ServeError(x *Exchange, err error) {
	x.wire.DropConnection()
	e.serveWith(x, err)
	e.resumeHere(x)
}

func (e *Engine) serveWith(x *Exchange, err error) {
	g := e.enter(x)
	x.Generation = g
	site := g.siteOf(x.Conn)
	if site == nil { // a reload left no server at all
		x.Res.Abort()
		e.exit(x)
		return
	}
	if err == nil {
		err = x.prepare(site)
	} else {
		x.Server = site.serverOf(x)
		x.Req.Host = hostOf(x.Req.Authority)
		x.Req.parse(x.Server.Root.Core.MergeSlashes) // for logs and error pages; an invalid target leaves the path empty
	}
	defer e.leave(x)
	defer x.rescue()
	x.run(err)
}

// prepare finds the server and parses the request target.
func (x *Exchange) prepare(site *Site) error {
	r := &x.Req
	r.Host = hostOf(r.Authority)
	var nameErr error
	x.Server, nameErr = site.serverFor(x, r.Host)
	if r.Host == "" {
		r.Host = x.Server.Name
	}
	target := r.Target
	if i := strings.Index(target, "://"); i > 0 && target[0] != '/' {
		target = target[i+3:]
		if j := strings.IndexAny(target, "/?"); j < 0 {
			target = "/"
		} else if target = target[j:]; target[0] == '?' {
			target = "/" + target
		}
		r.Target = target
	}
	if !r.parse(x.Server.Root.Core.MergeSlashes) {
		r.SetPath("/")
		return &Fail{Status: 400, Level: LevelInfo, Reason: "client sent an invalid request target"}
	}
	if nameErr != nil {
		return nameErr
	}
	if x.Conn.Refusal != nil {
		return x.Conn.Refusal
	}
	return nil
}

// hostOf returns authority's host: lower case, without port and trailing dot.
func hostOf(authority string) string {
	host := authority
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	for i := 0; i < len(host); i++ {
		if c := host[i]; c >= 'A' && c <= 'Z' {
			return strings.ToLower(host)
		}
	}
	return host
}

// run drives x until its response is complete or given up, or x is suspended. If err is not
// nil, x skips the phases and answers err.
func (x *Exchange) run(err error) {
	if err == nil {
		x.enter(PostRead)
		err = x.advance(nil)
	}
	x.settle(err)
}

// settle handles the result of the phases: it follows redirects, answers errors, and
// finishes the response.
func (x *Exchange) settle(err error) {
	if err != errSuspended {
		x.pending = nil // an action has suspended x, but returned another error
	}
	for err != nil && err != Done {
		if err == errSuspended {
			return
		}
		if x.Res.sent || x.Res.done {
			x.cut(err)
			return
		}
		var r *Redirect
		if errors.As(err, &r) {
			if err = x.follow(r); err == nil {
				err = x.advance(nil)
			}
			continue
		}
		err = x.answerError(err)
	}
	if !x.Res.done {
		if err := x.Res.Finish(); err != nil {
			x.cut(err)
		}
	}
}

// follow moves the cursor to the target of an internal redirect.
func (x *Exchange) follow(r *Redirect) error {
	if x.redirects++; x.redirects > maxInternalRedirects {
		x.status.lastPage = true // an error page would be another redirect
		return &Fail{Status: 500, Level: LevelError, Reason: "rewrite or internal redirection cycle while redirecting to \"" + r.URI + "\""}
	}
	x.Internal = true
	if r.Named {
		l := x.Server.named[r.URI]
		if l == nil {
			return &Fail{Status: 500, Level: LevelError, Reason: "could not find named location \"" + r.URI + "\""}
		}
		return x.enterLocation(l)
	}
	x.ChangeURI(r.URI, r.Args)
	x.enter(findLocation)
	if x.Server.rewrites() { // as in nginx, the server's rewriting runs again
		x.Location = nil
		x.enter(ServerRewrite)
	}
	return nil
}

// ChangeURI changes the request's path, to one that is decoded and normal, and its
// arguments, for internal redirects and rewriting.
func (x *Exchange) ChangeURI(path, args string) {
	x.Req.SetPath(path)
	x.Req.Args, x.Req.HasArgs = args, args != ""
	x.changes++
}

// URIChanges returns how often ChangeURI was called. While the number stays the same, what
// a feature knows about the path stays true.
func (x *Exchange) URIChanges() int { return x.changes }

// cut gives up a response whose head was sent, and logs err: as an error, unless err has a
// level of its own or the client has left.
func (x *Exchange) cut(err error) {
	status, level, reason := classify(err)
	if reason == "" && status != StatusClientClosed {
		level = LevelError
	}
	text := err.Error()
	if !strings.Contains(text, " while ") { // it does not say itself what was being done
		text += " while sending response to client"
	}
	x.Log(level, "%s", text)
	x.Res.Abort()
}

// rescue recovers from a panic of a handler. It logs the panic, and answers x with 500.
func (x *Exchange) rescue() {
	v := recover()
	if v == nil {
		return
	}
	x.pending = nil
	x.Log(LevelAlert, "internal error: %v\n%s", v, debug.Stack())
	if x.Res.sent || x.Res.done {
		x.Res.Abort()
		return
	}
	defer func() {
		if recover() != nil {
			x.Res.Abort()
		}
	}()
	x.status.inPage, x.status.lastPage = true, true
	x.run(Status(500))
}

func (x *Exchange) log() {
	defer func() {
		if v := recover(); v != nil {
			x.Log(LevelAlert, "internal error in the log phase: %v\n%s", v, debug.Stack())
		}
	}()
	for _, f := range x.place().logs {
		f(x)
	}
}

// RedirectPath answers with a redirect to a path of this server. absolute_redirect,
// server_name_in_redirect and port_in_redirect give the origin. path is decoded, and
// RedirectPath encodes it. The redirect has the request's arguments.
func (x *Exchange) RedirectPath(status int, path string) error {
	loc := EscapePath(x.appendOrigin(make([]byte, 0, 128)), path)
	if x.Req.Args != "" {
		loc = append(append(loc, '?'), x.Req.Args...)
	}
	if err := x.Res.RedirectTo(status, string(loc)); err != nil {
		return err
	}
	return Done
}

// AbsoluteLocation returns a redirect's target. A target that begins with "/" gets scheme,
// host and port as absolute_redirect and its like say; others stay.
func (x *Exchange) AbsoluteLocation(target string) string {
	if !strings.HasPrefix(target, "/") {
		return target
	}
	return string(append(x.appendOrigin(make([]byte, 0, 128)), target...))
}

// appendOrigin appends scheme://host[:port] if redirects are absolute. As in nginx, the host
// for a request without Host is the address that its connection came to; $host is the
// server's name then, which may be "_" or another server's.
func (x *Exchange) appendOrigin(dst []byte) []byte {
	c := x.Core()
	if !c.AbsoluteRedirect {
		return dst
	}
	host := ""
	switch {
	case c.ServerNameInRedir && x.Server.Name != "":
		host = x.Server.Name
	case x.Req.Authority != "":
		host = x.Req.Host
	}
	if host == "" {
		host = x.Conn.LocalAddr
		if strings.Contains(host, ":") && !strings.HasPrefix(host, "unix:") {
			host = "[" + host + "]"
		}
	}
	dst = append(append(append(dst, x.Req.Scheme...), "://"...), host...)
	port := x.Conn.LocalPort
	if !c.PortInRedirect || port == "" || x.Req.Scheme == "http" && port == "80" || x.Req.Scheme == "https" && port == "443" {
		return dst
	}
	return append(append(dst, ':'), port...)
}

func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// RequestKey is a secret of the front and a worker. Both derive the $request_id of a
// request from it, and only when they need it: most requests need none.
type RequestKey [16]byte

// id returns the id of the request with this number: the first half of the SHA-256 of the
// key and the number, which is 4 bytes in little endian, in hexadecimal.
func (k *RequestKey) id(number uint32) string {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint32(k[:len(k):len(k)], number))
	return hex.EncodeToString(sum[:16])
}

// LogTo writes a message that belongs to no request to g's error log.
func (g *Generation) LogTo(level Level, msg string, attrs ...slog.Attr) {
	if g.ErrorLog != nil {
		g.ErrorLog.LogAttrs(context.Background(), level, msg, attrs...)
	}
}
