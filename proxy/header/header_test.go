package header

import (
	"slices"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// reply answers with the status that the argument s names, and fields that a
// handler sets.
func reply() proxy.Module {
	return proxy.Module{Name: "reply", Compile: func(_ *config.Scope, l *proxy.Location) error {
		l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
			status := 200
			if s, ok := strings.CutPrefix(x.Req.Args, "s="); ok {
				status = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
			}
			x.Res.Header.Add("ETag", `"own"`)
			x.Res.Header.Add("X-Own", "1")
			return x.Res.Reply(status, "text/plain", []byte("hello"))
		}))
		return nil
	}}
}

func start(t testing.TB, text string) *proxytest.Server {
	t.Helper()
	return proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{Module(), reply()}})
}

// values returns every line of a field.
func values(h *proxy.Header, name string) (all []string) {
	for f := range h.All() {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return all
}

func TestFieldsAreAddedToOrdinaryStatusesAndAlwaysToAll(t *testing.T) {
	s := start(t, `server { listen 80; add_header X-Some 1; add_header X-Every 1 always; }`)
	for _, c := range []struct {
		status string
		some   bool
	}{
		{"200", true}, {"201", true}, {"202", false}, {"204", true}, {"206", true}, {"301", true}, {"302", true}, {"303", true}, {"304", true},
		{"307", true}, {"308", true}, {"400", false}, {"404", false}, {"500", false}, {"503", false},
	} {
		rec := s.Get("/?s=" + c.status)
		if got := rec.Header.Get("X-Some") == "1"; got != c.some {
			t.Errorf("%s: added without always: %v, want %v", c.status, got, c.some)
		}
		if rec.Header.Get("X-Every") != "1" {
			t.Errorf(`%s: not added in spite of always; want X-Every "1"`, c.status)
		}
	}
}

func TestStatusPagesGetFieldsToo(t *testing.T) {
	s := start(t, `server { listen 80; add_header X-Every $uri always; location /private { internal; } }`)
	rec := s.Get("/private")
	if rec.Status != 404 || rec.Header.Get("X-Every") != "/private" {
		t.Errorf(`%d with X-Every %q; want 404 and "/private"`, rec.Status, rec.Header.Get("X-Every"))
	}
}

func TestAddedFieldsStandBesideOrInsteadOfTheResponses(t *testing.T) {
	for _, c := range []struct {
		text, field string
		want        []string
	}{
		{"add_header X-Own 2;", "X-Own", []string{"1", "2"}},
		{"add_header Set-Cookie a=1; add_header Set-Cookie b=2;", "Set-Cookie", []string{"a=1", "b=2"}},
		{"add_header X-Uri $uri$is_args$args;", "X-Uri", []string{"/page?x=1"}},
		{"add_header X-None $arg_none;", "X-None", nil},
		{"add_header X-None '';", "X-None", nil},
		{"add_header etag '\"new\"';", "ETag", []string{`"new"`}},
		{"add_header ETag '';", "ETag", nil},
		{"add_header Last-Modified 'Thu, 01 Jan 1970 00:00:00 GMT';", "Last-Modified", []string{"Thu, 01 Jan 1970 00:00:00 GMT"}},
		{"add_header Content-Type text/css;", "Content-Type", []string{"text/css"}},
		{"add_header Content-Type '';", "Content-Type", nil},
		{"add_header Policy \"default-src 'self';\n    img-src *;\r\n\tfont-src x\n\";", "Policy", []string{"default-src 'self'; img-src *; font-src x"}},
	} {
		rec := start(t, "server { listen 80; "+c.text+" }").Get("/page?x=1")
		if got := values(&rec.Header, c.field); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s is %q, want %q", c.text, c.field, got, c.want)
		}
	}
}

func TestOwnFieldsReplaceThoseOfTheBlockAround(t *testing.T) {
	s := start(t, `add_header X-Http 1;
		server { listen 80; add_header X-Server 1;
			location /own { add_header X-Location 1; location /own/deeper { } }
			location /none { } }`)
	for _, c := range []struct{ path, want string }{
		{"/", "X-Server"}, {"/none", "X-Server"}, {"/own", "X-Location"}, {"/own/deeper", "X-Location"},
	} {
		rec := s.Get(c.path)
		for _, name := range []string{"X-Http", "X-Server", "X-Location"} {
			if got := rec.Header.Get(name) != ""; got != (name == c.want) {
				t.Errorf("%s: %s is there: %v; want %s alone", c.path, name, got, c.want)
			}
		}
	}
}

func TestMistakesOfAddHeaderAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`add_header X-A 1 allways;`: `can only be "always"`,
		`add_header "X A" 1;`:       `invalid header field name "X A"`,
		`add_header X-A: 1;`:        `invalid header field name "X-A:"`,
		`add_header "" 1;`:          `invalid header field name ""`,
		`add_header X-A $nothing;`:  `unknown variable "$nothing"`,
		`add_header X-A;`:           "argument",
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module(), reply()}, Text: "server { listen 80; " + text + " }"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestFieldsOfTheConnectionAreWarnedOf(t *testing.T) {
	for _, name := range []string{"Connection", "content-length", "Transfer-Encoding", "Keep-Alive"} {
		warnings, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module(), reply()}, Text: "server { listen 80; add_header " + name + " 5; }"})
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Msg, "has no effect") {
			t.Errorf("%s: %v, %v, want a warning", name, warnings, err)
		}
	}
}

// benchFields compiles values with the core's variables.
func benchFields(b testing.TB, pairs ...string) []field {
	b.Helper()
	l := &config.Load{Schema: config.NewSchema()}
	proxy.Declare(l, []proxy.Module{proxy.NewCore(proxy.Options{})})
	var all []field
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, field{id: proxy.FieldIDOf(pairs[i]), name: pairs[i], value: proxy.ParseTemplate(l, config.Pos{}, pairs[i+1])})
	}
	if err := l.Finish(); err != nil {
		b.Fatal(err)
	}
	return all
}

// usual are the security fields that many sites add.
var usual = []string{"X-Frame-Options", "DENY", "X-Content-Type-Options", "nosniff", "Strict-Transport-Security", "max-age=31536000",
	"Content-Security-Policy", "default-src 'self'", "Cache-Control", "no-cache"}

func TestFixedFieldsCostNoAllocation(t *testing.T) {
	fields := benchFields(t, usual...)
	x := proxy.NewExchange(&proxy.Conn{}, proxytest.NewRecorder(""))
	defer x.Release()
	x.Res.Status = 200
	once := func() {
		x.Res.Header.Reset()
		add(x, fields)
	}
	once()
	if n := testing.AllocsPerRun(1000, once); n > 0 {
		t.Errorf("%v allocations a response, want none", n)
	}
}

func BenchmarkAddHeader(b *testing.B) {
	for _, c := range []struct {
		name  string
		pairs []string
	}{
		{"five fixed fields", usual},
		{"one with a variable", []string{"X-Request-Path", "$request_method $uri"}},
		{"one that replaces", []string{"ETag", `"v1"`}},
	} {
		fields := benchFields(b, c.pairs...)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := proxy.NewExchange(&proxy.Conn{}, proxytest.NewRecorder(""))
				defer x.Release()
				x.Req.Method, x.Req.Path, x.Res.Status = "GET", "/shop/cart", 200
				for pb.Next() {
					x.Res.Header.Reset()
					x.Res.Header.Add("ETag", `"old"`)
					add(x, fields)
				}
			})
		})
	}
}

func TestFieldsWhereEachPhaseWaits(t *testing.T) { proxytest.RunPausing(t, ".", "Nginx|Allocat") }
