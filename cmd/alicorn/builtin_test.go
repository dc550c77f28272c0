package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"alicorn/config"
)

// essence is a configuration without comments, and without HTTP_HOST, which Debian has
// added to nginx's files.
func essence(t *testing.T, name string, text []byte) string {
	t.Helper()
	root, err := config.Parse(name, regexp.MustCompile(`#.*`).ReplaceAll(text, nil))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var write func(n *config.Node)
	write = func(n *config.Node) {
		b.WriteString(n.Name)
		for _, a := range n.Args {
			b.WriteString(" " + a.Text)
		}
		b.WriteString("\n")
		for _, c := range n.Children {
			if len(c.Args) == 0 || c.Arg(0) != "HTTP_HOST" {
				write(c)
			}
		}
	}
	write(root)
	return b.String()
}

func TestBuiltinFilesAreThoseOfNginx(t *testing.T) {
	builtin := builtinFiles
	for file, name := range map[string]string{
		"uwsgi_params": "uwsgi_params", "scgi_params": "scgi_params", "fastcgi_params": "fastcgi_params", "fastcgi.conf": "fastcgi.conf",
		"snippets/fastcgi-php.conf": "fastcgi-php.conf", "koi-utf": "koi-utf", "koi-win": "koi-win", "win-utf": "win-utf",
	} {
		text, err := os.ReadFile("/etc/nginx/" + file)
		if err != nil {
			t.Fatal(err)
		}
		got, want := essence(t, name, builtin[name]), essence(t, file, text)
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
}
