package accesslog

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/logfile"
	"alicorn/proxy/proxytest"
)

// answered returns the Exchange of a browser's request after its response.
func answered() *proxy.Exchange {
	x := proxy.NewExchange(&proxy.Conn{ID: 7, Requests: 3, RemoteAddr: "192.0.2.9", RemotePort: "50000", LocalAddr: "192.0.2.1", LocalPort: "80"},
		proxytest.NewRecorder(""))
	r := &x.Req
	r.Method, r.Target, r.Proto, r.Scheme, r.Path, r.Args = "GET", "/shop?item=42", "HTTP/1.1", "https", "/shop", "item=42"
	r.Line, r.Host = "GET /shop?item=42 HTTP/1.1", "shop.example.com"
	r.Header.Add("Host", "shop.example.com")
	r.Header.Add("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36")
	r.Header.Add("Referer", "https://shop.example.com/")
	x.Server, x.Start = &proxy.Server{Name: "shop.example.com"}, time.Now()
	x.Res.Status, x.Res.Written = 200, 1234
	x.Upstream = proxy.Upstream{App: "shop", Worker: "shop-1", Queue: time.Millisecond, Time: 20 * time.Millisecond}
	return x
}

// lineWriter writes lines of a format to a file, as access_log FILE does.
func lineWriter(t testing.TB, text string, esc escaping, o logfile.Options) *writer {
	t.Helper()
	l := &config.Load{Schema: config.NewSchema(), Resources: config.NewResources(proxytest.NewHost()), Prefix: t.TempDir()}
	proxy.Declare(l, []proxy.Module{proxy.NewCore(proxy.Options{}), Module(),
		{Variables: []proxy.Variable{{Name: "app_worker", Get: func(x *proxy.Exchange, dst []byte) ([]byte, bool) {
			return append(dst, x.Upstream.Worker...), true
		}}}}})
	w := &writer{format: newFormat(l, config.Pos{}, text, esc)}
	if err := l.Finish(); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.sink, err = logfile.Open(l, filepath.Join(l.Prefix, "access.log"), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Resources.Release)
	return w
}

// shapes are formats like those of real files.
func shapes() []struct {
	name, text string
	escaping   escaping
} {
	return []struct {
		name, text string
		escaping   escaping
	}{
		{"combined", combined, escapeDefault},
		{"timing", timing, escapeDefault},
		{"json", `{"time":"$time_iso8601","method":"$request_method","uri":"$uri","status":$status,"agent":"$http_user_agent","took":$request_time}`, escapeJSON},
		{"plain", `$host $status $bytes_sent`, escapeNone},
	}
}

func TestALineCostsNoAllocation(t *testing.T) {
	for _, c := range shapes() {
		for name, o := range map[string]logfile.Options{"default": batches(), "at once": {}} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				w := lineWriter(t, c.text, c.escaping, o)
				x := answered()
				x.Req.Header.Set("User-Agent", strings.Repeat(`"evil" `, 100))
				x.RequestID() // made once a request, for whoever asks first
				w.write(x)
				if n := testing.AllocsPerRun(2000, func() { w.write(x) }); n > 0 && !raceEnabled {
					t.Errorf("%v allocations a line, want none", n)
				}
				x.Release()
			})
		}
	}
}

func TestTheClockMakesATextForEachSecond(t *testing.T) {
	var c clock
	zone := time.FixedZone("", 2*60*60)
	for _, s := range []struct {
		at             time.Time
		local, iso8601 string
	}{
		{time.Date(2026, 11, 21, 8, 9, 10, 0, zone), "21/Nov/2026:08:09:10 +0200", "2026-11-21T08:09:10+02:00"},
		{time.Date(2026, 11, 21, 8, 9, 10, 999_999_999, zone), "21/Nov/2026:08:09:10 +0200", "2026-11-21T08:09:10+02:00"},
		{time.Date(2026, 11, 21, 8, 9, 11, 0, zone), "21/Nov/2026:08:09:11 +0200", "2026-11-21T08:09:11+02:00"},
		{time.Date(2026, 11, 21, 8, 9, 9, 0, zone), "21/Nov/2026:08:09:09 +0200", "2026-11-21T08:09:09+02:00"}, // the clock was set back
	} {
		if got := c.stamp(s.at); got.local != s.local || got.iso8601 != s.iso8601 {
			t.Errorf("at %v the clock says %q and %q, want %q and %q", s.at, got.local, got.iso8601, s.local, s.iso8601)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	for _, c := range shapes() {
		b.Run(c.name, func(b *testing.B) {
			w := lineWriter(b, c.text, c.escaping, logfile.Options{})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := answered()
				defer x.Release()
				x.RequestID()
				buf := make([]byte, 0, 1024)
				for pb.Next() {
					buf = w.format.appendLine(x, buf[:0])
				}
			})
		})
	}
}

// BenchmarkWrite measures making a line and writing it to the file.
func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name    string
		options logfile.Options
	}{
		{"default", batches()},
		{"at once", logfile.Options{}},
		{"buffer of 64 KiB", logfile.Options{Buffer: 64 << 10}},
		{"buffer of 1 MiB, flushed each second", logfile.Options{Buffer: 1 << 20, Flush: time.Second}},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := lineWriter(b, combined, escapeDefault, c.options)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := answered()
				defer x.Release()
				for pb.Next() {
					w.write(x)
				}
			})
		})
	}
}
