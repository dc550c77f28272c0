package errorlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func TestALineIsAsNginxWritesIt(t *testing.T) {
	at := time.Date(2026, 11, 21, 8, 9, 10, 0, time.Local)
	pid := fmt.Sprintf("%d#%d", os.Getpid(), os.Getpid())
	for _, c := range []struct {
		name, message string
		attrs         []slog.Attr
		want          string
	}{
		{"plain", "no such file", nil, "no such file"},
		{"of a connection", "no such file", []slog.Attr{slog.Uint64("cid", 7)}, "*7 no such file"},
		{"attributes at the end", "gone", []slog.Attr{slog.String("client", "192.0.2.1"), slog.Any("reason", errors.New("reset"))}, "gone, client: 192.0.2.1, reason: reset"},
		{"several lines", "Traceback:\n  File x\nValueError\n", nil, "Traceback:\n\t  File x\n\tValueError"},
		{"several lines in an attribute", "failed", []slog.Attr{slog.String("output", "a\nb")}, "failed, output: a\n\tb"},
		{"control bytes", "a\x1b[31m\r\x00b\tc\x7f", nil, `a\x1B[31m\x0D\x00b` + "\tc" + `\x7F`},
		{"beyond ASCII", "déjà", nil, "déjà"},
		{"nothing", "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			r := slog.NewRecord(at, proxy.LevelError, c.message, 0)
			r.AddAttrs(c.attrs...)
			if err := NewHandler(&out, proxy.LevelDebug).Handle(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if want := "2026/11/21 08:09:10 [error] " + pid + ": " + c.want + "\n"; out.String() != want {
				t.Errorf("wrote %q, want %q", out.String(), want)
			}
		})
	}
}

// counted counts writes.
type counted struct {
	bytes.Buffer
	writes int
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes++
	return c.Buffer.Write(p)
}

// HandleAll writes the same lines as Handle for each event, in one write to each
// destination that logs the level.
func TestSeveralEventsAreOneWrite(t *testing.T) {
	at := time.Date(2026, 11, 21, 8, 9, 10, 0, time.Local)
	messages := []string{"first", "a\x1b[31m\nb", "", "last"}
	var single bytes.Buffer
	one := NewHandler(&single, proxy.LevelDebug).WithAttrs([]slog.Attr{slog.String("server", "a")})
	for _, m := range messages {
		if err := one.Handle(t.Context(), slog.NewRecord(at, proxy.LevelError, m, 0)); err != nil {
			t.Fatal(err)
		}
	}
	var takes, leaves counted
	h := (&Handler{outs: []out{{&takes, proxy.LevelError}, {&leaves, proxy.LevelCrit}}}).WithAttrs([]slog.Attr{slog.String("server", "a")}).(*Handler)
	if err := h.HandleAll(t.Context(), at, proxy.LevelError, messages); err != nil {
		t.Fatal(err)
	}
	if takes.writes != 1 || takes.String() != single.String() {
		t.Errorf("wrote %q in %d writes, want %q in one", takes.String(), takes.writes, single.String())
	}
	if leaves.writes != 0 {
		t.Errorf("a destination of a higher level got %q, want nothing", leaves.String())
	}
}

// A line break that a client sends must not begin a line that looks like an event.
func TestNoMessageCanForgeALine(t *testing.T) {
	var out bytes.Buffer
	slog.New(NewHandler(&out, proxy.LevelDebug)).Error("a\n2026/11/21 08:09:10 [emerg] 1#1: forged", "x", "b\n2026/11/21 08:09:10 [emerg] 1#1: forged")
	for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if i > 0 && !strings.HasPrefix(line, "\t") {
			t.Errorf("line %d begins a line of its own: %q", i, line)
		}
	}
}

func TestEachDestinationTakesItsLevels(t *testing.T) {
	var all, some bytes.Buffer
	h := &Handler{outs: []out{{&all, proxy.LevelInfo}, {&some, proxy.LevelCrit}}}
	l := slog.New(h)
	for _, level := range []slog.Level{proxy.LevelDebug, proxy.LevelInfo, proxy.LevelNotice, proxy.LevelWarn, proxy.LevelError, proxy.LevelCrit, proxy.LevelAlert, proxy.LevelEmerg} {
		l.Log(t.Context(), level, "event")
		if got, want := h.Enabled(t.Context(), level), level >= proxy.LevelInfo; got != want {
			t.Errorf("%v is enabled: %v, want %v", level, got, want)
		}
	}
	if got, want := written(all.String()), []string{"info", "notice", "warn", "error", "crit", "alert", "emerg"}; !slices.Equal(got, want) {
		t.Errorf("the first has %v, want %v", got, want)
	}
	if got, want := written(some.String()), []string{"crit", "alert", "emerg"}; !slices.Equal(got, want) {
		t.Errorf("the second has %v, want %v", got, want)
	}
}

var levelOfLine = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\]`)

// written returns the levels of a log's lines.
func written(text string) (levels []string) {
	for _, m := range levelOfLine.FindAllStringSubmatch(text, -1) {
		levels = append(levels, m[1])
	}
	return levels
}

func TestAttributesOfALoggerEndItsLines(t *testing.T) {
	var out bytes.Buffer
	base := slog.New(NewHandler(&out, proxy.LevelDebug))
	base.With("app", "shop").WithGroup("ignored").With("worker", 3).Error("died", "code", 1)
	base.Error("alone")
	if got := out.String(); !strings.Contains(got, ": died, app: shop, worker: 3, code: 1\n") || !strings.HasSuffix(got, ": alone\n") {
		t.Errorf("wrote %q, want %q in it and %q at its end", got, ": died, app: shop, worker: 3, code: 1\n", ": alone\n")
	}
}

func TestLevelsHaveNginxsNames(t *testing.T) {
	for level, want := range map[slog.Level]string{
		-8: "debug", proxy.LevelDebug: "debug", proxy.LevelInfo: "info", 1: "info", proxy.LevelNotice: "notice", proxy.LevelWarn: "warn",
		proxy.LevelError: "error", 10: "error", proxy.LevelCrit: "crit", proxy.LevelAlert: "alert", proxy.LevelEmerg: "emerg", 99: "emerg",
	} {
		if got := LevelName(level); got != want {
			t.Errorf("level %d is %q, want %q", level, got, want)
		}
	}
}

// Lines of several goroutines do not mix: each is one Write.
func TestLinesAreWrittenWhole(t *testing.T) {
	w := &countingWriter{}
	l := slog.New(NewHandler(w, proxy.LevelDebug))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				l.Error("a line", "text", strings.Repeat("x", 100))
			}
		})
	}
	wg.Wait()
	if w.writes != 800 || w.broken > 0 {
		t.Errorf("%d writes, %d of them not one line; want 800 and 0", w.writes, w.broken)
	}
}

type countingWriter struct {
	mu             sync.Mutex
	writes, broken int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	if bytes.Count(p, []byte("\n")) != 1 || !bytes.HasSuffix(p, []byte("x\n")) {
		w.broken++
	}
	return len(p), nil
}

// failing is content that logs a line of its path at each level.
func failing() proxy.Module {
	return proxy.Module{Name: "failing", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			x.Log(proxy.LevelWarn, "warned at %s", x.Req.Path)
			x.Log(proxy.LevelError, "failed at %s", x.Req.Path)
			return x.Res.Reply(200, "text/plain", nil)
		}))
		return nil
	}}
}

func TestTheNearestErrorLogsAreInEffect(t *testing.T) {
	dir := t.TempDir()
	s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{Module(Options{Default: "default.log", Level: proxy.LevelError}), failing()}, Text: `
		error_log main.log warn;
		server { listen 80; server_name inherits;
			location /own { error_log own.log; error_log also/own.log crit; }
			location /two { error_log one.log warn; error_log two.log error; } }`})
	for _, path := range []string{"/", "/own", "/two"} {
		s.Do(proxytest.Request{Target: path, Host: "inherits"})
	}
	for file, want := range map[string]string{
		"main.log": "warned at /|failed at /", "own.log": "failed at /own", "also/own.log": "", "one.log": "warned at /two|failed at /two", "two.log": "failed at /two",
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(text)) {
			_, message, _ := strings.Cut(line, "*")
			_, message, _ = strings.Cut(message, " ")
			message, who, _ := strings.Cut(message, ",")
			got = append(got, message)
			if !strings.Contains(who, `client: 127.0.0.1, server: inherits, request: "GET `) {
				t.Errorf("%s does not say whose request it was: %q", file, line)
			}
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s has %q, want %q", file, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "default.log")); err == nil {
		t.Error("the default was opened though the configuration names a log")
	}
}

func TestWithoutErrorLogTheDefaultIsInEffect(t *testing.T) {
	dir := t.TempDir()
	s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{Module(Options{Default: "default.log", Level: proxy.LevelError}), failing()},
		Text: "server { listen 80; }"})
	s.Get("/x")
	s.Engine.Current().LogTo(proxy.LevelEmerg, "of no request")
	text, err := os.ReadFile(filepath.Join(dir, "default.log"))
	if err != nil {
		t.Fatal(err)
	}
	if got := written(string(text)); !slices.Equal(got, []string{"error", "emerg"}) || !strings.Contains(string(text), "failed at /x") {
		t.Errorf(`the default has %q, want %v and "failed at /x" in it`, text, []string{"error", "emerg"})
	}
}

// Lines without a level are written unchanged to the destinations with the lowest level.
func TestLinesWithoutALevelGoWhereMostGoes(t *testing.T) {
	dir := t.TempDir()
	s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{Module(Options{Default: "default.log"}), failing()},
		Text: "error_log a.log warn; error_log b.log crit; error_log c.log warn; server { listen 80; }"})
	const text = "{\"a\": 1}\n\t\x1b[1mbold\r\n"
	s.Engine.Current().ErrorLog.Handler().(*Handler).Print([]byte(text))
	for name, want := range map[string]string{"a.log": text, "b.log": "", "c.log": text} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, want %q (%v)", name, got, want, err)
		}
	}
}

func TestMistakesOfErrorLogAreNamed(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"error_log a.log loud;":               `alicorn.conf:1:17: invalid level "loud": it is one of debug`,
		"error_log a.log info more;":          "argument",
		"error_log " + blocked + "/x.log;":    "alicorn.conf:1:1: ",
		"error_log syslog:facility=local0;":   "names no syslog server",
		"error_log syslog:server=a,bogus=1 ;": `unknown syslog parameter "bogus=1"`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module(Options{Default: "stderr"}), failing()}, Text: text + "\nserver { listen 80; }"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func BenchmarkHandle(b *testing.B) {
	l := slog.New(NewHandler(discard{}, proxy.LevelError))
	for _, c := range []struct {
		name  string
		level slog.Level
	}{{"written", proxy.LevelError}, {"below the level", proxy.LevelInfo}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					l.LogAttrs(context.Background(), c.level, "no such file, client: 192.0.2.1, server: shop", slog.Uint64("cid", 7))
				}
			})
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
