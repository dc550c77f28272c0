package proxytest

import (
	"bytes"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/eventloop"
	"alicorn/proxy/proxyproto"
)

// Request is what Do asks. Zero fields mean GET / of host "localhost" by
// HTTP/1.1 from 127.0.0.1 on the first listener.
type Request struct {
	Method  string
	Target  string
	Host    string // Authority; "-": none
	HTTP10  bool
	Fields  []string // "Name: value"; Host does not belong here
	Body    string
	Chunked bool   // the body's length is not announced
	Listen  string // the address of a listen directive, as in Server.Addr
	Local   string // the local IP address the connection came to
	Remote  string // the client's IP address; "unix:" for a unix socket
	HTTPS   bool
	// ProxyProtocol is the header of the PROXY protocol, as it is sent, that the
	// connection began with; "": none.
	ProxyProtocol string
	// Err, when not nil, is what was wrong with the request's head: the
	// request goes through Engine.ServeError.
	Err error
	// Gone makes the client leave after this many bytes of response body; 0: never.
	Gone int
}

// Get asks for target; fields are lines "Name: value".
func (s *Server) Get(target string, fields ...string) *Recorder {
	return s.Do(Request{Target: target, Fields: fields})
}

// Do takes r through all phases, on the calling goroutine, and returns the
// response after the log phase.
func (s *Server) Do(r Request) *Recorder {
	s.t.Helper()
	rec := &Recorder{request: strings.NewReader(r.Body), gone: r.Gone}
	c := s.conn(r)
	if !s.Engine.Register(c, rec) {
		s.t.Fatal("the server is shutting down")
	}
	defer s.Engine.Unregister(c)
	x := proxy.NewExchange(c, rec)
	defer x.Release()
	fill(x, r)
	rec.read = int64(len(x.Req.Line)+4) + int64(len(r.Body))
	if r.Err != nil {
		s.Engine.ServeError(x, r.Err)
	} else {
		s.Engine.Serve(x)
	}
	return rec
}

func (s *Server) conn(r Request) *proxy.Conn {
	c := &proxy.Conn{ID: s.nextID.Add(1), RemoteAddr: "unix:", LocalAddr: or(r.Local, "127.0.0.1"), LocalPort: "80", Requests: 1}
	if r.Remote != "unix:" {
		remote, err := netip.ParseAddr(or(r.Remote, "127.0.0.1"))
		if err != nil {
			s.t.Fatal(err)
		}
		c.RemoteAddr, c.RemotePort, c.RemoteBinary = remote.String(), "50000", string(remote.AsSlice())
	}
	if r.ProxyProtocol != "" {
		var err error
		if c.ProxyProtocol, _, err = proxyproto.Parse([]byte(r.ProxyProtocol)); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, l := range s.Engine.Current().Listeners {
		if r.Listen == "" || l.Address == r.Listen {
			c.Listener = l
			return c
		}
	}
	s.t.Fatalf("nothing listens on %q", r.Listen)
	return nil
}

func fill(x *proxy.Exchange, r Request) {
	x.Start, x.Number = time.Now(), 1
	q := &x.Req
	q.Method, q.Target, q.Authority = or(r.Method, "GET"), or(r.Target, "/"), or(r.Host, "localhost")
	q.Proto, q.Major, q.Minor, q.Scheme = "HTTP/1.1", 1, 1, "http"
	if r.HTTP10 {
		q.Proto, q.Minor = "HTTP/1.0", 0
	}
	if r.HTTPS {
		q.Scheme = "https"
	}
	q.Line = q.Method + " " + q.Target + " " + q.Proto
	if r.Host == "-" {
		q.Authority = ""
	} else {
		q.Header.Add("Host", q.Authority)
	}
	for _, f := range r.Fields {
		name, value, _ := strings.Cut(f, ":")
		q.Header.Add(name, strings.TrimSpace(value))
	}
	switch {
	case r.Chunked:
		q.Chunked, q.ContentLength = true, -1
		q.Header.Add("Transfer-Encoding", "chunked")
	case r.Body != "":
		q.ContentLength = int64(len(r.Body))
		q.Header.Add("Content-Length", strconv.Itoa(len(r.Body)))
	}
}

func or(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// Recorder is a proxy.Wire that keeps the response. Header holds what the
// client would see of the response's own fields, Content-Type and
// Content-Length among them, but none of the protocol's.
type Recorder struct {
	Status   int
	Length   int64 // the announced length of the body; -1: none
	Header   proxy.Header
	Body     bytes.Buffer
	Bodyless bool
	Heads    int          // how often WriteHead was called
	Hints    proxy.Header // of interim responses
	Trailer  proxy.Header
	Flushes  int
	Finished bool
	Aborted  bool
	Dropped  bool // the connection is not to be reused

	request *strings.Reader
	gone    int
	read    int64
}

// NewRecorder returns a Recorder whose request has this body, for tests that
// make their Exchange themselves.
func NewRecorder(body string) *Recorder { return &Recorder{request: strings.NewReader(body)} }

// Text returns the body.
func (r *Recorder) Text() string { return r.Body.String() }

// WriteHints keeps the fields.
func (r *Recorder) WriteHints(fields *proxy.Header) error {
	for f := range fields.All() {
		r.Hints.Add(strings.Clone(f.Name), strings.Clone(f.Value))
	}
	return nil
}

// WriteHead keeps status and fields.
func (r *Recorder) WriteHead(x *proxy.Exchange, bodyless bool) error {
	r.Heads++
	r.Status, r.Length, r.Bodyless = x.Res.Status, x.Res.Length, bodyless
	if t := x.Res.AppendType(nil); len(t) > 0 {
		r.Header.Add("Content-Type", string(t))
	}
	if r.Length >= 0 {
		r.Header.Add("Content-Length", strconv.FormatInt(r.Length, 10))
	}
	for f := range x.Res.Header.All() {
		r.Header.Add(strings.Clone(f.Name), strings.Clone(f.Value))
	}
	return nil
}

// Write keeps p, until the client has gone.
func (r *Recorder) Write(p []byte) (int, error) {
	if r.gone > 0 && r.Body.Len()+len(p) > r.gone {
		return 0, proxy.ErrClientGone
	}
	return r.Body.Write(p)
}

// SendFile keeps the file's bytes.
func (r *Recorder) SendFile(f proxy.File, off, n int64) error {
	m, err := io.Copy(writerOnly{r}, io.NewSectionReader(f, off, n))
	if err == nil && m < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

type writerOnly struct{ io.Writer }

// Flush counts.
func (r *Recorder) Flush() error { r.Flushes++; return nil }

// Finish fails when less than Length was written.
func (r *Recorder) Finish(trailer *proxy.Header) error {
	r.Finished = true
	if trailer != nil {
		for f := range trailer.All() {
			r.Trailer.Add(strings.Clone(f.Name), strings.Clone(f.Value))
		}
	}
	if !r.Bodyless && r.Length >= 0 && int64(r.Body.Len()) != r.Length {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// Abort keeps that the response was cut.
func (r *Recorder) Abort() { r.Aborted, r.Dropped = true, true }

// ReadBody reads the request's body.
func (r *Recorder) ReadBody(p []byte) (int, error) { return r.request.Read(p) }

// TryReadBody is ReadBody: it never has to wait.
func (r *Recorder) TryReadBody(p []byte) (int, error) { return r.ReadBody(p) }

// AwaitBody is never called.
func (r *Recorder) AwaitBody() bool { return false }

// Gone reports whether the client's bound was reached.
func (r *Recorder) Gone() bool { return r.gone > 0 && r.Body.Len() >= r.gone }

// Client is nil: nobody else looks.
func (r *Recorder) Client() proxy.Client { return nil }

// BytesSent returns the body's length.
func (r *Recorder) BytesSent() int64 { return int64(r.Body.Len()) }

// BytesRead returns the length of request line and body.
func (r *Recorder) BytesRead() int64 { return r.read }

// Upgrade is refused: there is no connection.
func (r *Recorder) Upgrade(*proxy.Exchange) (proxy.Upgraded, error) { return nil, proxy.ErrNoUpgrade }

// Suspends is false: an Exchange that is suspended waits on Do's goroutine.
func (r *Recorder) Suspends() bool { return false }

// Loop is nil: there is no loop.
func (r *Recorder) Loop() *eventloop.Loop { return nil }

// Resume is never called.
func (r *Recorder) Resume(*eventloop.Turn) {}

// Overran is false: there is no loop.
func (r *Recorder) Overran() bool { return false }

// Now implements proxy.Scheduler.
func (r *Recorder) Now() time.Time { return time.Now() }

// Watch is false: the Recorder learns nothing of its client.
func (r *Recorder) Watch(*proxy.Waiting) bool { return false }

// Detach does nothing.
func (r *Recorder) Detach() {}

// Meanwhile does nothing: no call waits.
func (r *Recorder) Meanwhile(func()) {}

// DropConnection keeps that it was called.
func (r *Recorder) DropConnection() { r.Dropped = true }

// Drain does nothing: an Exchange on a Recorder ends by itself.
func (r *Recorder) Drain(time.Duration) {}

// Waits is false: an Exchange is in progress.
func (r *Recorder) Waits() (time.Time, bool) { return time.Time{}, false }

// Asked implements proxy.LiveConn.
func (r *Recorder) Asked() bool { return false }

// Tunnels implements proxy.LiveConn.
func (r *Recorder) Tunnels() bool { return false }

// Cut does nothing.
func (r *Recorder) Cut(*proxy.Generation) {}

// Close does nothing.
func (r *Recorder) Close() error { return nil }
