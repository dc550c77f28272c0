package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"alicorn/cmd/alicorn/control"
	"alicorn/config"

	"github.com/spf13/pflag"
)

func TestBindTakesGunicornsForms(t *testing.T) {
	for bind, want := range map[string]string{
		"127.0.0.1:8000": "127.0.0.1:8000", ":8000": "0.0.0.0:8000", "8000": "0.0.0.0:8000", "0.0.0.0": "0.0.0.0:8000", "": "0.0.0.0:8000", "0:8000": "0:8000", "127.1:80": "127.1:80", "127.0.0.1:": "127.0.0.1:8000",
		"[::1]:9000": "[::1]:9000", "unix:/run/x.sock": "unix:/run/x.sock", "tcp://127.0.0.1:1": "127.0.0.1:1",
	} {
		if got, err := listenAddress(bind); got != want || err != nil {
			t.Errorf("%q is %q (%v), want %q", bind, got, err, want)
		}
	}
	for _, bind := range []string{"127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:+80", "127.0.0.1:-1", "127.0.0.1:18446744073709551696"} {
		if got, err := listenAddress(bind); err == nil {
			t.Errorf("%q was accepted as %q", bind, got)
		}
	}
}

// As gunicorn's, a socket of IPv6's wildcard serves IPv4 as well.
func TestBindToIPv6TakesBothFamilies(t *testing.T) {
	for binds, want := range map[string]string{
		"[::]:8000":                     "[::]:8000 ipv6only=off",
		"[0:0::]:8000":                  "[0:0::]:8000 ipv6only=off",
		"[::1]:8000":                    "[::1]:8000",
		"0.0.0.0:8000 [::]:8000":        "0.0.0.0:8000, [::]:8000",
		"[::]:8000 localhost:8000":      "[::]:8000, localhost:8000",
		"[::]:8000 0:8001 unix:/x.sock": "[::]:8000 ipv6only=off, 0:8001, unix:/x.sock",
	} {
		words, err := listenWords(strings.Fields(binds))
		var got []string
		for _, w := range words {
			got = append(got, strings.Join(w, " "))
		}
		if g := strings.Join(got, ", "); err != nil || g != want {
			t.Errorf("%q listens on %q (%v), want %q", binds, g, err, want)
		}
	}
}

// The words are those that shlex.split of Python 3 gives.
func TestArgumentsAreSplitAsByShlex(t *testing.T) {
	for line, want := range map[string][]string{
		`-w 4  --env 'A=b c' --bind="x y"`: {"-w", "4", "--env", "A=b c", "--bind=x y"},
		`-e A=b\ c -e 'it'"'"'s'`:          {"-e", "A=b c", "-e", "it's"},
		`"a\"b" "a\\b" "a\nb" 'a\nb' a\nb`: {`a"b`, `a\b`, `a\nb`, `a\nb`, `anb`},
		`'' "" x`:                          {"", "", "x"},
		"\t-w\n4\r":                        {"-w", "4"},
		`-e PATTERN=\d+ # -w 3`:            {"-e", "PATTERN=d+", "#", "-w", "3"},
		"":                                 nil,
	} {
		if got, err := splitArgs(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is split into %q (%v), want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`'open`, `"open`, `a\`} {
		if got, err := splitArgs(line); err == nil {
			t.Errorf("%q was accepted as %q", line, got)
		}
	}
}

func TestAnApplicationIsFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		files string
		flask string
		want  string
		err   string
	}{
		{"wsgi.py before app.py", "app.py wsgi.py", "", "wsgi", ""},
		{"main.py", "main.py", "", "main", ""},
		{"FLASK_APP", "app.py", "shop:make()", "shop:make()", ""},
		{"a Django project", "manage.py shop/wsgi.py", "", "shop.wsgi:application", ""},
		{"two Django projects", "manage.py a/wsgi.py b/wsgi.py", "", "", "several applications"},
		{"nothing of Python", "index.html", "", demoApp, ""},
		{"a project without an application", "pyproject.toml", "", "", "there is pyproject.toml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for f := range strings.FieldsSeq(c.files) {
				path := filepath.Join(dir, f)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := discover(dir, "", func(string) string { return c.flask })
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("found %q, %v; want an error with %q", got.app, err, c.err)
				}
				return
			}
			if got.app != c.want || err != nil {
				t.Errorf("found %q (%v), want %q", got.app, err, c.want)
			}
		})
	}
}

func TestTimeoutIsGunicorns(t *testing.T) {
	for _, c := range []struct {
		kind string
		args string
		want string
	}{
		{"wsgi", "", ""},
		{"wsgi", "-t 5", "timeout 5s"},
		{"wsgi", "-t 0", "timeout off"},
		{"wsgi", "--threads 1 -t 5", "timeout 5s"},
		{"wsgi", "--threads 2", "timeout off, heartbeat 30s"},
		{"wsgi", "--threads 2 -t 5", "timeout off, heartbeat 5s"},
		{"wsgi", "--threads 2 -t 0", "timeout off"},
		{"wsgi", "-k gthread -t 5", "timeout off, heartbeat 5s"},
		{"asgi", "", "timeout off, stall_timeout 30s"},
		{"asgi", "-t 5", "timeout off, stall_timeout 5s"},
		{"asgi", "-t 0", "timeout off, stall_timeout off"},
		{"asgi", "--threads 2 -t 5", "timeout off, stall_timeout 5s"},
	} {
		f := newServeFlags(pflag.NewFlagSet("serve", pflag.ContinueOnError))
		if err := f.set.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range f.timeouts(c.kind) {
			got = append(got, n.Name+" "+n.Arg(0))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%q gives %q, want %q", c.args, s, c.want)
		}
	}
}

func TestAZeroIsTakenFromAnyLayer(t *testing.T) {
	for _, name := range []string{"timeout", "max-requests", "max-requests-jitter", "keep-alive", "limit-request-fields", "cert-reqs"} {
		lower, upper := newServeFlags(pflag.NewFlagSet("", pflag.ContinueOnError)), newServeFlags(pflag.NewFlagSet("", pflag.ContinueOnError))
		if err := lower.set.Parse([]string{"--" + name, "1"}); err != nil {
			t.Fatal(err)
		}
		if err := upper.set.Parse([]string{"--" + name, "0"}); err != nil {
			t.Fatal(err)
		}
		if err := lower.merge(upper); err != nil || lower.set.Lookup(name).Value.String() != "0" {
			t.Errorf(`--%s 0 over 1 is %q, %v; want "0"`, name, lower.set.Lookup(name).Value, err)
		}
		if strings.Contains(upper.set.FlagUsages(), "(default 0) (default 0)") {
			t.Errorf("help shows the default 0 of --%s twice", name)
		}
	}
}

// Files of settings are looked for where gunicorn looks: in --chdir's folder.
func TestFilesStartFromTheFolderThatIsEntered(t *testing.T) {
	for _, c := range []struct{ args, binds, log string }{
		{"-b unix:a.sock --error-logfile e.log", "unix:a.sock", "e.log"},
		{"--chdir src -b unix:a.sock -b 127.0.0.1:1 --error-logfile e.log", "unix:/w/src/a.sock 127.0.0.1:1", "/w/src/e.log"},
		{"--chdir src -b unix://a.sock -b unix:/b.sock --error-logfile -", "unix:/w/src/a.sock unix:/b.sock", "-"},
		{"--chdir src --error-logfile /x/e.log", "", "/x/e.log"},
	} {
		f := newLayer("serve", "")
		if err := f.set.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		f.enter("/w/src")
		if got := strings.Join(f.binds, " "); got != c.binds || f.errorLog != c.log {
			t.Errorf("%s: binds %q and error log %q, want %q and %q", c.args, got, f.errorLog, c.binds, c.log)
		}
	}
}

func TestMistakesOfDomainsNameTheFlag(t *testing.T) {
	for args, want := range map[string]string{
		"--domain *.example.com":                        `--domain "*.example.com": a certificate for all names below one needs acme_dns_hook`,
		"--domain localhost":                            `--domain "localhost": `,
		"--domain 10.0.0.1":                             `--domain "10.0.0.1": `,
		"--domain a.example.com --acme-ca ftp://x":      `--acme-ca "ftp://x": it takes the https:// URL`,
		"--domain a.example.com --acme-ca https:":       `--acme-ca "https:": it takes the https:// URL`,
		"--email me@example.com":                        `--email and --acme-ca are for --domain`,
		"--domain a.example.com --https":                `--https is for development`,
		"--domain a.example.com --acme-ca https://ca/d": "",
	} {
		f := newLayer("serve", "")
		if err := f.set.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		err := f.judgeHTTPS()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// The process that serves reads the text that serve has written. What it says of a line, as
// in "alicorn status", names the command that prints the line.
func TestPositionsOfServeNameWhatPrintsThem(t *testing.T) {
	f := newLayer("serve", "")
	f.defaultBind(found{})
	tree, err := f.tree(found{app: "m:app", kind: "wsgi", directory: "/w"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Loader{Source: config.Memory(tree.Contents)}.Load(tree.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(tree.Contents[tree.Files[0]]), "\n")
	for _, n := range again.Root.Children {
		if n.Pos.File != "serve --print-config" || !strings.HasPrefix(lines[n.Pos.Line-1], n.Name) {
			t.Errorf("%s is at %s, want at its line of \"serve --print-config\"", n.Name, n.Pos)
		}
	}
	if len(again.Root.Children) < 3 {
		t.Errorf("%d directives, want at least 3", len(again.Root.Children))
	}
}

// Whoever starts as root hears which user the application has, and how to choose it.
func TestTheStartLineNamesAUserThatNobodyChose(t *testing.T) {
	st := control.Status{Apps: []control.App{{User: "nobody"}}}
	for chosen, want := range map[string]string{
		"":       " as user nobody (--user names another)",
		"nobody": " as user nobody",
	} {
		if os.Geteuid() != 0 {
			want = ""
		}
		if got := (&serveFlags{user: chosen}).asUser(st); got != want {
			t.Errorf("--user %q: %q, want %q", chosen, got, want)
		}
	}
}
