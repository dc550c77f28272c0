package accesslog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// reply answers every request.
func reply() proxy.Module {
	return proxy.Module{Name: "reply", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error { return x.Res.Reply(200, "text/plain", []byte("hello")) }))
		return nil
	}}
}

func TestNoRequestCanForgeALine(t *testing.T) {
	for _, c := range []struct {
		name string
		esc  escaping
		in   string
		want string
	}{
		{"plain", escapeDefault, "curl/8", "curl/8"},
		{"quote and backslash", escapeDefault, `a"b\c`, `a\x22b\x5Cc`},
		{"line end", escapeDefault, "a\nb", `a\x0Ab`},
		{"beyond ASCII", escapeDefault, "é", `\xC3\xA9`},
		{"json quote", escapeJSON, `a"b\c`, `a\"b\\c`},
		{"json control", escapeJSON, "a\n\x01", `a\n\u0001`},
		{"json keeps UTF-8", escapeJSON, "é", "é"},
		{"json replaces what is none", escapeJSON, "a\xffb", `a\uFFFDb`},
		{"a replacement character is no mistake", escapeJSON, "\ufffd\"", "\ufffd\\\""},
		{"longer than any buffer", escapeDefault, strings.Repeat(`"x`, 400), strings.Repeat(`\x22x`, 400)},
		{"cut UTF-8", escapeJSON, "a\xe2\x82", `a\uFFFD\uFFFD`},
		{"none", escapeNone, `a"b`, `a"b`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(c.esc.escape([]byte("keep"+c.in), 4)); got != "keep"+c.want {
				t.Errorf("escaped to %q, want %q", got, "keep"+c.want)
			}
		})
	}
}

func TestLinesFollowTheirFormatAndCondition(t *testing.T) {
	dir := t.TempDir()
	s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{Module(), reply()}, Text: `
		log_format short '$request_method $uri $status $body_bytes_sent "$http_x"';
		server { listen 127.0.0.1:8000; access_log a.log short if=$arg_log; access_log b.log; }`})
	s.Get("/one?log=1", "X: y")
	s.Get("/two?log=0")
	s.Get("/three")
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	proxytest.Eventually(t, func() bool { return strings.Count(read("b.log"), "\n") == 3 }, "b.log does not get three lines")
	if b := read("b.log"); !strings.Contains(b, `" 200 5 "-" "-"`) {
		t.Errorf("b.log is not in the combined format (want %q in it):\n%s", `" 200 5 "-" "-"`, b)
	}
	proxytest.Eventually(t, func() bool { return read("a.log") != "" }, "a.log stays empty")
	if a, want := read("a.log"), "GET /one 200 5 \"y\"\n"; a != want {
		t.Errorf("a.log has %q, want %q", a, want)
	}
}

func TestLinesWaitForTheBufferThatTheLogNames(t *testing.T) {
	dir := t.TempDir()
	s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{Module(), reply()}, Text: `
		log_format short '$uri';
		server { listen 127.0.0.1:8000; access_log full.log short buffer=16; access_log timed.log short buffer=1k flush=20ms;
			access_log batch.log short; }`})
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	s.Get("/one")
	s.Get("/two")
	const two = "/one\n/two\n"
	for _, name := range []string{"timed.log", "batch.log"} {
		proxytest.Eventually(t, func() bool { return read(name) == two }, "%s does not get both lines in time", name)
	}
	if got := read("full.log"); got != "" {
		t.Errorf(`a buffer of 16 bytes that holds 10 was written: %q; want ""`, got)
	}
	s.Get("/three")
	if got := read("full.log"); got != two {
		t.Errorf("with a line too much for the buffer the file has %q, want %q", got, two)
	}
}

func TestMistakesOfAccessLogAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`access_log a.log shrt;`:              "unknown log format \"shrt\"",
		`access_log a.log combined flush=1s;`: "no buffer is defined",
		`access_log a.log combined bogus=1;`:  "invalid parameter \"bogus=1\"",
		`access_log $host.log;`:               "variables in the path",
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module(), reply()}, Dir: t.TempDir(),
			Text: "log_format short '$uri'; server { listen 127.0.0.1:8000; " + text + " }"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestAnUnknownFormatIsAMistakeWithoutServersToo(t *testing.T) {
	for text, want := range map[string]string{`access_log a.log shrt;`: `unknown log format "shrt"`, `access_log a.log short; access_log b.log; access_log c.log timing;`: ""} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module(), reply()}, Dir: t.TempDir(), Text: text + " log_format short '$uri';"})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestLinesWhereEachPhaseWaits(t *testing.T) { proxytest.RunPausing(t, ".", "Nginx|Allocat") }
