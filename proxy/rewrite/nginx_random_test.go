package rewrite

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/header"
	"alicorn/proxy/proxytest"
	"alicorn/static"
)

// author writes random servers. A rewrite with arguments always has a flag:
// nginx before 1.30 writes past a buffer when set follows one that has none.
type author struct{ r *rand.Rand }

func (a author) of(choices ...string) string { return choices[a.r.IntN(len(choices))] }

func (a author) value() string {
	return a.of("1", "0", `""`, "$uri", "$arg_a", `"$1"`, `"[$1|$2]"`, `"$v$w"`, "$args", "/b$v", `"x$1"`)
}

func (a author) condition() string {
	subject := a.of("$v", "$w", "$arg_a", "$uri", "$args", "$request_uri")
	switch a.r.IntN(4) {
	case 0:
		return subject
	case 1:
		return subject + a.of(" = ", " != ") + a.value()
	case 2:
		return subject + " " + a.of("~", "~*", "!~", "!~*") + " " + a.regex()
	}
	return a.of("-f", "!-f", "-d", "!-d", "-e", "!-e", "-x") + " " + a.of("$request_filename", "$document_root/a.txt", "$v")
}

func (a author) regex() string {
	return `"` + a.of("^", "^/a", "^/(.)(.*)$", "^/b(.*)$", "a", "(x)|(y)", "^/(.*)/(.*)$", "^/c$", `\.txt$`, "^(/[^/]*)/(.+)$", "^$", "(?<w>[ab])") + `"`
}

func (a author) simple() string {
	switch a.r.IntN(10) {
	case 0, 1, 2:
		return fmt.Sprintf("set $%s %s; ", a.of("v", "w", "v", "w", "args"), a.value())
	case 3, 4:
		return fmt.Sprintf("rewrite %s %s; ", a.regex(), a.of("/a$1", "/b$2/$1", "/c", "$1", "$uri/x", "/a.txt"))
	case 5, 6:
		return fmt.Sprintf("rewrite %s %s %s; ", a.regex(), a.of("/a$1", "/b/$1", "/c?k=$1", "/c?$uri?", "$uri?z=$v&", "/a.txt?", "/$v"), a.of("last", "break", "last", "break", "redirect", "permanent"))
	case 7:
		return "break; "
	case 8:
		return fmt.Sprintf("return %s; ", a.of("404", "403", `200 "said $uri $1"`, "301 /r$1", "302 /$v"))
	}
	return fmt.Sprintf("add_header X-A %s always; ", a.of("$v", "$uri", "n$1"))
}

func (a author) code(header bool) string {
	var b strings.Builder
	one := func() {
		for {
			if s := a.simple(); header || !strings.HasPrefix(s, "add_header") {
				b.WriteString(s)
				return
			}
		}
	}
	for range a.r.IntN(4) {
		if a.r.IntN(2) == 0 {
			one()
			continue
		}
		fmt.Fprintf(&b, "if (%s) { ", a.condition())
		for range 1 + a.r.IntN(2) {
			one()
		}
		b.WriteString("} ")
	}
	return b.String()
}

func (a author) server() string {
	var b strings.Builder
	b.WriteString(a.of("", "error_page 404 /c; ", "error_page 404 = @n; ", "error_page 403 404 =200 /b/e; "))
	b.WriteString(a.code(false))
	for _, head := range []string{"/", "/a", "~ ^/b(.*)$", "= /c", "@n"} {
		fmt.Fprintf(&b, "location %s { %s", head, a.code(true))
		if a.r.IntN(3) > 0 {
			b.WriteString(`return 200 "$uri|$args|$v|$w|$1|$2"; `)
		}
		b.WriteString("} ")
	}
	return b.String()
}

func TestRandomProgramsDoWhatNginxDoes(t *testing.T) {
	const servers = 150
	a := author{rand.New(rand.NewPCG(11, 5))}
	targets := append(plain, "/b", "/b/a", "/c", "/c?a=0", "/a/b/c?a=/a", "/a.txt", "/%2e%2fb", "/b%20z?a=b", "/a?a=%20", "/sub", "/sub/")
	www, dir := files(t), proxytest.NginxDir(t)
	const common = "default_type text/plain; log_not_found off; uninitialized_variable_warn off;"
	var theirs, ours strings.Builder
	texts := make([]string, servers)
	for i := range servers {
		texts[i] = a.server()
		fmt.Fprintf(&theirs, "server { listen unix:DIR/s%d; server_name s%d; %s }\n", i, i, texts[i])
		fmt.Fprintf(&ours, "server { listen 80; server_name s%d; %s }\n", i, texts[i])
	}
	head := common + "root " + www + ";\n"
	proxytest.StartNginx(t, dir, "access_log off;\n"+head+theirs.String())
	s := proxytest.New(t, proxytest.Config{Text: head + ours.String(), Modules: []proxy.Module{Module(), header.Module(), static.Module()}})
	for i, text := range texts {
		for _, target := range targets {
			host := fmt.Sprintf("s%d", i)
			res, body := exchange(t, filepath.Join(dir, host), host, target, nil)
			if got, want := answerOf(s, host, target, nil), seen(res.StatusCode, res.Header, body); got != want {
				t.Errorf("%s of %s\nours  %s\nnginx %s", target, text, got, want)
			}
		}
	}
}
