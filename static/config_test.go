package static_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"root /a; root /b;", "duplicate"},
		{"location / { root /a; alias /b; }", `"root" and "alias" cannot stand in one location`},
		{"location @x { alias /b; }", "named location"},
		{"root $document_root/x;", "$document_root cannot be used"},
		{"location / { alias ${realpath_root}/x; }", "$realpath_root cannot be used"},
		{"root /x/$request_filename;", "$request_filename cannot be used"},
		{"root /x/$nonsense;", "unknown variable"},
		{"alias /x;", "not allowed"},
		{"try_files $uri;", "at least 2 arguments"},
		{"try_files $uri =4x4;", "invalid code"},
		{"autoindex_format xml;", "is not one of"},
		{"autoindex maybe;", `"on" or "off"`},
		{"gzip_static sometimes;", "is not one of"},
		{"expires soon;", "expires"},
		{"expires changed 1h;", `only "modified" goes before a time`},
		{"expires modified @1h;", "cannot be used"},
		{"max_ranges -1;", "whole number"},
		{"if_modified_since after;", "is not one of"},
		{"disable_symlinks maybe;", "one of off, on, if_not_owner"},
		{"disable_symlinks from=/x;", "must have one of"},
		{"disable_symlinks off from=/x;", "cannot be used"},
		{"disable_symlinks on off;", "invalid disable_symlinks parameter"},
		{"disable_symlinks on from=;", "invalid disable_symlinks parameter"},
		{"disable_symlinks on from=$nonsense;", "unknown variable"},
		{"open_file_cache on;", "max=N, inactive=TIME, off"},
		{"open_file_cache max=0;", `"max=0": "0" is not a whole number from 1 to 2147483647`},
		{"open_file_cache max=x;", "invalid open_file_cache parameter"},
		{"open_file_cache max=10 off;", `invalid open_file_cache parameter "off"`},
		{"open_file_cache max=10 inactive=soon;", "is not a time"},
		{"open_file_cache inactive=10s;", `must have the parameter "max"`},
		{"open_file_cache_min_uses 0;", "whole number"},
		{"open_file_cache_memory on;", "is not a size"},
		{"open_file_cache_memory 1m 1k;", "there may be file=SIZE"},
		{"open_file_cache_memory off file=1k;", "there may be file=SIZE"},
		{"open_file_cache_memory 1m file=big;", "is not a size"},
	} {
		_, err := proxytest.Check(t, proxytest.Config{Text: "server { listen 80; " + c.text + " }", Modules: modules()})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestSlashesThatDoNotMatchAreWarnedOf(t *testing.T) {
	for text, want := range map[string]bool{
		"location /i { alias /srv/i/; }":        true,
		"location /i/ { alias /srv/i; }":        true,
		"location ^~ /i { alias /srv/i/; }":     true,
		"location /i/ { alias /srv/i/; }":       false,
		"location /i { alias /srv/i; }":         false,
		"location = /i.png { alias /srv/i.x; }": false,
		"location ~ ^/i/ { alias /srv/i; }":     false,
	} {
		warnings, err := proxytest.Check(t, proxytest.Config{Text: "server { listen 80; " + text + " }", Modules: modules()})
		got := false
		for _, w := range warnings {
			got = got || strings.Contains(w.Msg, "both end in a slash")
		}
		if err != nil || got != want {
			t.Errorf("%s: a warning about slashes: %v of %v, %v; want %v", text, got, warnings, err, want)
		}
	}
}

func TestRelativeRootsStartAtThePrefix(t *testing.T) {
	root := folder(t, map[string]string{"html/a.txt": "default", "x/a.txt": "x"})
	s := proxytest.New(t, proxytest.Config{Dir: root, Modules: modules(), Text: "server { listen 80; location /x/ { root .; } location /up/ { alias x/../html/; } }"})
	for target, want := range map[string]string{"/a.txt": "default", "/x/a.txt": "x", "/up/a.txt": "default"} {
		if r := s.Get(target); r.Text() != want {
			t.Errorf("%s: got %d %q, log %s; want %q", target, r.Status, r.Text(), s.Log, want)
		}
	}
}

func TestPrecompressedFilesFollowAcceptEncoding(t *testing.T) {
	s := start(t, folder(t, map[string]string{"a.css": "plain", "a.css.gz": "gz", "a.css.br": "brot", "a.css.zst": "zstan", "b.css": "plain", "b.css.gz": "gz", "c.css": "plain", "c.css.br/": ""}),
		"server { listen 80; root ROOT; precompressed on; }")
	for _, c := range []struct{ target, accept, encoding, body string }{
		{"/a.css", "", "", "plain"},
		{"/a.css", "gzip", "gzip", "gz"},
		{"/a.css", "gzip, br", "br", "brot"},
		{"/a.css", "gzip, deflate, br, zstd", "zstd", "zstan"},
		{"/a.css", "zstd;q=0.5, br;q=0.8, gzip;q=0.7", "br", "brot"},
		{"/a.css", "zstd;q=0, br;q=0, gzip", "gzip", "gz"},
		{"/a.css", "*", "zstd", "zstan"},
		{"/a.css", "*;q=0", "", "plain"},
		{"/a.css", "*, zstd;q=0", "br", "brot"},
		{"/a.css", "identity, gzip;q=0.5", "", "plain"},
		{"/a.css", "identity;q=0.5, gzip", "gzip", "gz"},
		{"/a.css", "identity, gzip", "gzip", "gz"},
		{"/a.css", "x-gzip", "gzip", "gz"},
		{"/a.css", "GZIP;Q=1.0", "gzip", "gz"},
		{"/a.css", "gzip;q=x", "", "plain"},
		{"/b.css", "br, zstd", "", "plain"},
		{"/b.css", "br, gzip;q=0.1", "gzip", "gz"},
		{"/c.css", "br", "", "plain"},
	} {
		var fields []string
		if c.accept != "" {
			fields = []string{"Accept-Encoding: " + c.accept}
		}
		r := s.Get(c.target, fields...)
		if h := &r.Header; r.Text() != c.body || h.Get("Content-Encoding") != c.encoding || (h.Get("Vary") == "Accept-Encoding") != (c.target != "/c.css") || h.Get("Content-Type") != "text/css" ||
			!strings.HasSuffix(h.Get("ETag"), "-"+string('0'+byte(len(c.body)))+`"`) {
			t.Errorf("%s, Accept-Encoding %q: got %d %q %+v", c.target, c.accept, r.Status, r.Text(), r.Header)
		}
	}
	r := s.Get("/a.css", "Accept-Encoding: gzip", "Range: bytes=1-")
	if r.Status != 206 || r.Text() != "z" || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Content-Range") != "bytes 1-1/2" {
		t.Errorf(`a range of a variant: got %d %q %+v; want 206, "z", "gzip" and "bytes 1-1/2"`, r.Status, r.Text(), r.Header)
	}
}

// Responses have Vary: Accept-Encoding if the file has a variant, and only then.
func TestVaryStandsWhereThereIsAVariant(t *testing.T) {
	files := folder(t, map[string]string{"a.css": "plain", "a.css.gz": "gz", "b.css": "plain", "b.css.br": "brot", "c.css": "plain"})
	for _, c := range []struct {
		text string
		vary string // targets
	}{
		{"gzip_static on;", "/a.css"}, {"gzip_static always;", ""}, {"gzip_static off;", ""}, {"precompressed on;", "/a.css /b.css"},
		{"gzip_static on; open_file_cache max=10; open_file_cache_errors on;", "/a.css"},
	} {
		s := start(t, files, "server { listen 80; root ROOT; "+c.text+" }")
		for _, target := range []string{"/a.css", "/b.css", "/c.css"} {
			for _, accept := range []string{"", "gzip", "br", "identity", "zstd, gzip;q=0"} {
				for _, span := range []string{"bytes=0-1", "bytes=1-", "none"} {
					r := s.Get(target, "Accept-Encoding: "+accept, "Range: "+span)
					if varies := r.Header.Get("Vary") == "Accept-Encoding"; varies != slices.Contains(strings.Fields(c.vary), target) {
						t.Errorf("%s %s, Accept-Encoding %q, Range %s: %d, Vary %v; want %v", c.text, target, accept, span, r.Status, varies, slices.Contains(strings.Fields(c.vary), target))
					}
				}
			}
		}
	}
}

// While the parts of many ranges are read, the loop goes on with other requests.
func TestManyRangesGiveTheLeadAway(t *testing.T) {
	s := start(t, folder(t, map[string]string{"a.txt": strings.Repeat("0123456789", 100)}), "server { listen 80; root ROOT; }")
	for _, ranges := range []int{2, 32, 33, 300} {
		answer := s.Raw("GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=0-0" + strings.Repeat(",2-2", ranges-1) + "\r\n\r\n")
		if got := strings.Count(answer, "\r\nContent-Range: bytes 2-2/1000\r\n\r\n2\r\n"); got != ranges-1 {
			t.Errorf("%d ranges: %d parts of the last, want %d", ranges, got, ranges-1)
		}
		if proxytest.Pausing() {
			continue // no request leads
		}
		if ranges > 32 {
			proxytest.Eventually(t, func() bool { return s.Loops.Spare() > 0 }, "no other goroutine has led during %d ranges", ranges)
		} else if s.Loops.Spare() > 0 {
			t.Errorf("another goroutine has led during %d ranges", ranges)
		}
	}
}

func TestUnsatisfiableRangesNameTheSize(t *testing.T) {
	s := start(t, folder(t, map[string]string{"a.txt": "0123456789", "page.html": "page"}),
		"server { listen 80; root ROOT; location /p/ { alias ROOT/; error_page 416 /page.html; } }")
	for target, page := range map[string]string{"/a.txt": "416 Requested Range Not Satisfiable", "/p/a.txt": "page"} {
		r := s.Get(target, "Range: bytes=10-")
		if r.Status != 416 || r.Header.Get("Content-Range") != "bytes */10" || !strings.Contains(r.Text(), page) {
			t.Errorf(`%s: got %d %q %+v; want 416, "bytes */10" and %q in it`, target, r.Status, r.Text(), r.Header, page)
		}
	}
}

// A 416 for a range has the fields of the 200; another 416 has not.
func TestUnsatisfiableRangesHaveTheFieldsOfTheFile(t *testing.T) {
	s := start(t, folder(t, map[string]string{"a.txt": "0123456789"}),
		"server { listen 80; root ROOT; expires 1h; add_header X-Nested yes; add_header X-Every yes always; location /r { return 416; } }")
	for _, c := range []struct{ target, span, own string }{{"/a.txt", "bytes=10-", "yes"}, {"/a.txt", "bytes=0-", "yes"}, {"/r", "bytes=0-", ""}, {"/none", "bytes=10-", ""}} {
		h := s.Get(c.target, "Range: "+c.span).Header
		if h.Get("X-Nested") != c.own || h.Get("X-Every") != "yes" || (h.Get("Cache-Control") == "max-age=3600") != (c.own != "") {
			t.Errorf("%s %s: %+v; want X-Nested %q, X-Every yes, and Cache-Control beside X-Nested", c.target, c.span, h, c.own)
		}
	}
}

func TestNotModifiedKeepsWhatCachesNeed(t *testing.T) {
	s := start(t, folder(t, map[string]string{"a.txt": "a", "a.txt.gz": "z"}), "server { listen 80; root ROOT; expires 1h; gzip_static on; }")
	full := s.Get("/a.txt")
	r := s.Get("/a.txt", "If-None-Match: "+full.Header.Get("ETag"))
	if r.Status != 304 || r.Length != -1 || r.Header.Get("Content-Type") != "" {
		t.Fatalf(`got %d %+v; want 304, Length -1 and Content-Type ""`, r.Status, r.Header)
	}
	for _, name := range []string{"ETag", "Last-Modified", "Cache-Control", "Expires", "Vary"} {
		if v := r.Header.Get(name); v == "" || name != "Expires" && v != full.Header.Get(name) {
			t.Errorf("%s: got %q, want %q, as with 200", name, v, full.Header.Get(name))
		}
	}
}

func TestExpiresFollowsTheClock(t *testing.T) {
	root := folder(t, map[string]string{"a.txt": "a", "b.txt": "b"})
	s := start(t, root, "server { listen 80; root ROOT; expires 1h; location /m/ { alias ROOT/; expires modified 1h; } }")
	for range 2 {
		at, err := http.ParseTime(s.Get("/a.txt").Header.Get("Expires"))
		if left := time.Until(at); err != nil || left < 59*time.Minute || left > time.Hour {
			t.Errorf("expires in %s, %v; want at least %s and at most %s", left, err, 59*time.Minute, time.Hour)
		}
	}
	later := changed.Add(24 * time.Hour)
	if err := os.Chtimes(filepath.Join(root, "b.txt"), later, later); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]time.Time{"/m/a.txt": changed, "/m/b.txt": later} {
		if got := s.Get(target).Header.Get("Expires"); got != want.Add(time.Hour).Format(http.TimeFormat) {
			t.Errorf("%s: got %s, want an hour after %s", target, got, want)
		}
	}
}

// quiet is a Wire that keeps nothing, so that only the handler allocates.
type quiet struct {
	proxytest.Recorder
	one [1]byte
}

func (*quiet) WriteHead(*proxy.Exchange, bool) error { return nil }
func (*quiet) Write(p []byte) (int, error)           { return len(p), nil }
func (*quiet) Finish(*proxy.Header) error            { return nil }

func (q *quiet) SendFile(f proxy.File, off, n int64) error {
	return proxy.ReadFile(f, q.one[:], off+n-1)
}

func TestServingAFileAllocatesNothing(t *testing.T) {
	for _, cache := range []string{"", "open_file_cache max=10;", "open_file_cache max=10; open_file_cache_memory off;", "open_file_cache max=10; open_file_cache_errors on;",
		"open_file_cache max=10; disable_symlinks if_not_owner from=$document_root;"} {
		t.Run(cache, func(t *testing.T) { servingAllocates(t, cache, cache != "") })
	}
}

func servingAllocates(t *testing.T, text string, cached bool) {
	s := start(t, folder(t, map[string]string{"a.css": strings.Repeat("a", 1000), "a.css.gz": "gz", "big": strings.Repeat("b", 100_000)}), text+
		"server { listen 80; root ROOT; location /e/ { alias ROOT/; expires 1h; } location /z/ { alias ROOT/; precompressed on; } location /t/ { root ROOT; try_files /a.css =404; } location /ta/ { alias ROOT/; try_files $uri =404; } }")
	ask := asker(t, s)
	for _, q := range []struct {
		target, field, value string
		cachedOnly           bool
	}{
		{"/a.css", "", "", false}, {"/e/a.css", "", "", false}, {"/z/a.css", "Accept-Encoding", "gzip, br", false}, {"/a.css", "If-None-Match", `"66472f6e-3e8"`, false}, {"/a.css", "If-Modified-Since", changedText, false},
		{"/big", "", "", true}, {"/t/", "", "", true}, {"/ta/a.css", "", "", true},
	} {
		if q.cachedOnly && !cached {
			continue
		}
		n := testing.AllocsPerRun(200, func() { ask(q.target, q.field, q.value) })
		if n > mostAllocations {
			t.Errorf("%s %s: %v allocations; want at most %v", q.target, q.field, n, mostAllocations)
		}
	}
}

// asker returns a function that takes requests through s, on one connection
// whose wire keeps nothing.
func asker(t testing.TB, s *proxytest.Server) func(target, field, value string) {
	c := &proxy.Conn{ID: 1, Listener: s.Engine.Current().Listeners[0], RemoteAddr: "127.0.0.1", LocalAddr: "127.0.0.1", LocalPort: "80", Requests: 1}
	st := &quiet{}
	if !s.Engine.Register(c, &st.Recorder) {
		t.Fatal("the server is shutting down")
	}
	t.Cleanup(func() { s.Engine.Unregister(c) })
	x := proxy.NewExchange(c, st)
	return func(target, field, value string) {
		x.Reset()
		x.Req.Method, x.Req.Target, x.Req.Authority, x.Req.Proto, x.Req.Major, x.Req.Minor, x.Req.Scheme = "GET", target, "h", "HTTP/1.1", 1, 1, "http"
		if field != "" {
			x.Req.Header.Add(field, value)
		}
		s.Engine.Serve(x)
	}
}

func TestFilesWhereEachPhaseWaits(t *testing.T) { proxytest.RunPausing(t, ".", "Allocates|Nginx") }
