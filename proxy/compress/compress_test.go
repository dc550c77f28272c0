package compress_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/compress"
	"alicorn/proxy/proxytest"
)

var page = strings.Repeat("some text that compresses\n", 40)

// origin answers with the fields of the request's arguments:
// status, type, etag, coding, cc, expires, lm, body, chunks.
func origin() proxy.Module {
	return proxy.Module{Name: "origin", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(serve))
		return nil
	}}
}

func serve(x *proxy.Exchange) error {
	r := &x.Res
	r.Status, r.ContentType = 200, "text/html"
	body := page
	for pair := range strings.SplitSeq(x.Req.Args, "&") {
		k, v, _ := strings.Cut(pair, "=")
		v = strings.ReplaceAll(v, "+", " ")
		switch k {
		case "status":
			fmt.Sscan(v, &r.Status)
		case "type":
			r.ContentType = v
		case "body":
			body = v
		case "chunks":
			return stream(r)
		case "":
		default:
			r.Header.Add(k, v)
		}
	}
	r.Header.Add("Accept-Ranges", "bytes")
	return r.Reply(r.Status, r.ContentType, []byte(body))
}

// stream flushes after each of three chunks.
func stream(r *proxy.Response) error {
	if err := r.Send(); err != nil {
		return err
	}
	for _, chunk := range []string{"one\n", "two\n", "three\n"} {
		if _, err := r.Write([]byte(chunk)); err != nil {
			return err
		}
		if err := r.Flush(); err != nil {
			return err
		}
	}
	return r.Finish()
}

func start(t *testing.T, directives string) *proxytest.Server {
	t.Helper()
	return proxytest.New(t, proxytest.Config{
		Text:    "server { listen 80; " + directives + " location / { } }",
		Modules: []proxy.Module{compress.Module(), origin()},
	})
}

func gunzip(t *testing.T, body []byte) string {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("not gzip: %v: %q", err, body)
	}
	text, err := io.ReadAll(zr)
	if err != nil {
		t.Fatalf("cannot decode: %v", err)
	}
	return string(text)
}

func compressed(r *proxytest.Recorder) bool { return r.Header.Get("Content-Encoding") == "gzip" }

func TestACompressedResponseIsAnotherRepresentation(t *testing.T) {
	s := start(t, "gzip on;")
	for range 3 { // the writer is used again
		r := s.Get(`/?ETag="abc"`, "Accept-Encoding: gzip")
		if !compressed(r) || r.Length != -1 || r.Header.Get("ETag") != `W/"abc"` || r.Header.Get("Accept-Ranges") != "" || r.Header.Get("Vary") != "" {
			t.Errorf(`fields %+v, length %d; want gzip, a weak ETag, neither Accept-Ranges nor Vary, and -1`, r.Header, r.Length)
		}
		if got := gunzip(t, r.Body.Bytes()); got != page || r.Body.Len() >= len(page) {
			t.Errorf("%d bytes decode to %q; want %q and less than %d", r.Body.Len(), got, page, len(page))
		}
		if mtime := r.Body.Bytes()[4:8]; !bytes.Equal(mtime, make([]byte, 4)) {
			t.Errorf("the header has the time %x", mtime)
		}
	}
}

func TestHeadHasTheFieldsOfGet(t *testing.T) {
	r := start(t, "gzip on;").Do(proxytest.Request{Method: "HEAD", Target: `/?ETag="abc"`, Fields: []string{"Accept-Encoding: gzip"}})
	if !compressed(r) || r.Length != -1 || r.Header.Get("ETag") != `W/"abc"` || r.Body.Len() != 0 || !r.Finished {
		t.Errorf("%+v, want gzip, length -1, a weak ETag and no body", r)
	}
}

func TestTheClientDecides(t *testing.T) {
	s := start(t, "gzip on;")
	for accept, want := range map[string]bool{
		"gzip": true, "x-gzip": true, "GZIP": true, "deflate, gzip;q=0.5": true, "*": true, "br;q=1.0, *;q=0.1": true,
		"": false, "deflate": false, "gzip;q=0": false, "gzip; q=0.000": false, "*;q=0": false, "gzip;q=0, *": false,
		"gzip;q=2": false, "identity, gzip;q=0.5": false, "gzip, identity;q=0.5": true, "identity;q=0, gzip;q=0.1": true,
	} {
		if got := compressed(s.Get("/", "Accept-Encoding: "+accept)); got != want {
			t.Errorf("%q: compressed %v; want %v", accept, got, want)
		}
	}
	if compressed(s.Get("/")) {
		t.Error("compressed for a client that did not ask")
	}
}

func TestTheResponseDecides(t *testing.T) {
	s := start(t, "gzip on; gzip_types text/css application/json;")
	for query, want := range map[string]bool{
		"status=200": true, "status=403": true, "status=404": true, "status=206": false, "status=201": false, "status=500": false, "status=301": false,
		"status=204": false, "status=304": false, "type=text/css": true, "type=TEXT/HTML": true, "type=application/json;+charset=utf-8": true,
		"type=image/png": false, "type=": false, "type=text/cs": false, "body=nineteen+bytes+long": false, "body=twenty+bytes+in+this": true,
		"Content-Encoding=br": false,
	} {
		if got := compressed(s.Get("/?"+query, "Accept-Encoding: gzip")); got != want {
			t.Errorf("%s: compressed %v; want %v", query, got, want)
		}
	}
}

func TestETagsBecomeWeak(t *testing.T) {
	s := start(t, "gzip on;")
	for _, c := range []struct{ sent, want string }{{`"a"`, `W/"a"`}, {`W/"a"`, `W/"a"`}, {`odd`, ``}} {
		if got := s.Get("/?ETag="+c.sent, "Accept-Encoding: gzip").Header.Get("ETag"); got != c.want {
			t.Errorf("%s becomes %s; want %s", c.sent, got, c.want)
		}
	}
	if got := s.Get(`/?ETag="a"`).Header.Get("ETag"); got != `"a"` {
		t.Errorf("without gzip it becomes %s, want %q", got, `"a"`)
	}
}

func TestDirectivesChooseWhatIsCompressed(t *testing.T) {
	const gz = "Accept-Encoding: gzip"
	for _, c := range []struct {
		directives string
		request    proxytest.Request
		want       bool
	}{
		{"", proxytest.Request{}, false},
		{"gzip off;", proxytest.Request{}, false},
		{"gzip on; gzip_types *;", proxytest.Request{Target: "/?type=image/png"}, true},
		{"gzip on; gzip_min_length 2k;", proxytest.Request{}, false},
		{"gzip on; gzip_min_length 2k;", proxytest.Request{Target: "/?chunks=3"}, true},
		{"gzip on;", proxytest.Request{HTTP10: true}, false},
		{"gzip on; gzip_http_version 1.0;", proxytest.Request{HTTP10: true}, true},
		{"gzip on; gzip_comp_level 9; gzip_buffers 16 8k;", proxytest.Request{}, true},
		{`gzip on; gzip_disable "curl/[78]";`, proxytest.Request{Fields: []string{"User-Agent: Curl/8.1"}}, false},
		{`gzip on; gzip_disable "curl/[78]";`, proxytest.Request{Fields: []string{"User-Agent: curl/6.1"}}, true},
		{`gzip on; gzip_disable nothing msie6;`, proxytest.Request{Fields: []string{"User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"}}, false},
		{`gzip on; gzip_disable msie6;`, proxytest.Request{Fields: []string{"User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)"}}, true},
		{`gzip on; gzip_disable msie6;`, proxytest.Request{Fields: []string{"User-Agent: Mozilla/4.0 (compatible; MSIE 7.0)"}}, true},
	} {
		c.request.Fields = append(c.request.Fields, gz)
		if got := compressed(start(t, c.directives).Do(c.request)); got != c.want {
			t.Errorf("%s with %+v: compressed %v; want %v", c.directives, c.request, got, c.want)
		}
	}
}

func TestVaryIsForThoseWhoDoNotAskToo(t *testing.T) {
	s := start(t, "gzip on; gzip_vary on;")
	for _, c := range []struct{ target, want string }{
		{"/", "Accept-Encoding"}, {"/?Vary=Origin,+accept-encoding", "Origin, accept-encoding"}, {"/?Vary=*", "*"},
		{"/?type=image/png", ""}, {"/?body=short", ""},
	} {
		var lines []string
		for f := range s.Get(c.target).Header.All() {
			if f.Name == "Vary" {
				lines = append(lines, f.Value)
			}
		}
		if got := strings.Join(lines, " | "); got != c.want {
			t.Errorf("%s: Vary %q, not %q", c.target, got, c.want)
		}
	}
}

func TestProxiedRequestsAreCompressedAsGzipProxiedSays(t *testing.T) {
	const old, later = "Expires=Thu,+01+Jan+1970+00:00:01+GMT", "Expires=Fri,+01+Jan+2100+00:00:00+GMT"
	for _, c := range []struct {
		words, query string
		want         bool
	}{
		{"off", "", false}, {"any", "", true}, {"off any", "", false},
		{"expired", old, true}, {"expired", later, false}, {"expired", "Expires=0", false}, {"any", later, true}, {"no-cache", old, false},
		{"expired", "Expires=Fri,+01+Jan+2100+00:00:00+GMT&Date=Sat,+02+Jan+2100+00:00:00+GMT", true},
		{"no-cache", "Cache-Control=no-cache", true}, {"no-cache", "Cache-Control=max-age=5,+No-Cache", true}, {"no-cache", "Cache-Control=public", false},
		{"no-store private", "Cache-Control=private", true}, {"no-store", "Cache-Control=no-store", true}, {"no-store", "Cache-Control=private", false},
		{"no-cache", "Cache-Control=public&Cache-Control=no-cache", true},
		{"no_last_modified", "Last-Modified=x", false}, {"no_last_modified", "", true},
		{"no_etag", "ETag=x", false}, {"no_etag", "Last-Modified=x", true}, {"auth", "Cache-Control=public", true},
	} {
		s := start(t, "gzip on; gzip_proxied "+c.words+";")
		if got := compressed(s.Get("/?"+c.query, "Accept-Encoding: gzip", "Via: 1.1 cache", "Authorization: Basic eA==")); got != c.want {
			t.Errorf("%s with %s: compressed %v; want %v", c.words, c.query, got, c.want)
		}
	}
	if compressed(start(t, "gzip on;").Get("/", "Accept-Encoding: gzip", "Via: 1.1 cache")) {
		t.Error("compressed for a proxy by default")
	}
	if compressed(start(t, "gzip on; gzip_proxied auth;").Get("/?Cache-Control=public", "Accept-Encoding: gzip", "Via: 1.1 cache")) {
		t.Error("auth compresses without Authorization")
	}
}

// flushes keeps what had come at each flush.
type flushes struct {
	*proxytest.Recorder
	at []string
}

func (f *flushes) Flush() error {
	f.at = append(f.at, f.Text())
	return f.Recorder.Flush()
}

func TestFlushedChunksReachTheClient(t *testing.T) {
	s := start(t, "gzip on;")
	st := &flushes{Recorder: proxytest.NewRecorder("")}
	c := &proxy.Conn{Listener: s.Engine.Current().Listeners[0]}
	if !s.Engine.Register(c, st) {
		t.Fatal("cannot register")
	}
	defer s.Engine.Unregister(c)
	x := proxy.NewExchange(c, st)
	defer x.Release()
	q := &x.Req
	q.Method, q.Target, q.Proto, q.Major, q.Minor, q.Authority = "GET", "/?chunks=3", "HTTP/1.1", 1, 1, "localhost"
	q.Header.Add("Host", "localhost")
	q.Header.Add("Accept-Encoding", "gzip")
	s.Engine.Serve(x)
	want := []string{"one\n", "one\ntwo\n", "one\ntwo\nthree\n"}
	if len(st.at) < len(want) {
		t.Fatalf("%d flushes, want at least %d", len(st.at), len(want))
	}
	for i, w := range want {
		zr, err := gzip.NewReader(strings.NewReader(st.at[i]))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(w))
		if _, err := io.ReadFull(zr, got); err != nil || string(got) != w {
			t.Errorf("flush %d: %q, %v; want %q", i, got, err, w)
		}
	}
	if got := gunzip(t, st.Body.Bytes()); got != want[2] {
		t.Errorf("in all %q, want %q", got, want[2])
	}
}

func TestAClientThatLeavesIsNoHarm(t *testing.T) {
	s := start(t, "gzip on;")
	s.Do(proxytest.Request{Gone: 5, Fields: []string{"Accept-Encoding: gzip"}})
	if got := gunzip(t, s.Get("/", "Accept-Encoding: gzip").Body.Bytes()); got != page {
		t.Errorf("then %q, want %q", got, page)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for directive, want := range map[string]string{
		"gzip_comp_level 10;": "from 1 to 9", "gzip_http_version 2;": "gzip_http_version", "gzip_proxied exipred;": `"exipred" is not one of`,
		"gzip_disable (;": "regular expression", "gzip yes;": "on", "gzip_min_length x;": "gzip_min_length",
	} {
		_, err := proxytest.Check(t, proxytest.Config{Text: "server { " + directive + " }", Modules: []proxy.Module{compress.Module()}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %q", directive, err, want)
		}
	}
}

func TestAnAgentThatTakesTooLongToMatchIsAnError(t *testing.T) {
	s := start(t, `gzip on; gzip_min_length 0; gzip_disable "^(?!b)(a+)+$";`)
	rec := s.Get("/", "Accept-Encoding: gzip", "User-Agent: "+strings.Repeat("a", 40)+"b")
	if rec.Status != 500 || !strings.Contains(s.Log.String(), "alicorn.conf:1:") {
		t.Errorf(`%d, log %s; want 500 and "alicorn.conf:1:" in it`, rec.Status, s.Log)
	}
}

func TestCompressionWhereEachPhaseWaits(t *testing.T) {
	proxytest.RunPausing(t, ".", "Nginx|Benchmark")
}
