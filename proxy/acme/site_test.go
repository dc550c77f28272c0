package acme

import (
	stdtls "crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/ssl"
)

// decide compiles text, starts nothing, and describes each server: its names
// that are ordered, the ports that were opened for it, and whether clients
// there are redirected.
func decide(t *testing.T, text string) (servers []string, err error) {
	t.Helper()
	f := New(Options{State: "/state"})
	look := proxy.Module{Name: "look", Generation: func(_ *config.Scope, g *proxy.Generation) error {
		for _, sv := range g.Servers {
			s := f.settings.In(sv.Scope).site
			if s == nil {
				servers = append(servers, "files")
				continue
			}
			var words []string
			for _, w := range s.wants {
				word := w.Name
				for _, i := range w.Issuers {
					word += "@" + i.Label()
				}
				words = append(words, fmt.Sprintf("%s http=%v alpn=%v", word, w.HTTP, w.ALPN))
			}
			for _, l := range sv.Listens {
				if l.Optional {
					words = append(words, "+"+l.Address)
				}
			}
			if s.redirect {
				words = append(words, "redirects")
			}
			servers = append(servers, strings.Join(words, ", "))
		}
		return nil
	}}
	_, err = proxytest.Check(t, proxytest.Config{Text: text, Modules: []proxy.Module{f.Module(), ssl.New(nil, f), look}})
	return servers, err
}

const fromLE = "@acme-v02.api.letsencrypt.org"

func TestWhichNamesAreOrderedWhere(t *testing.T) {
	t.Parallel()
	both := fromLE + " http=true alpn=true"
	for _, c := range []struct{ name, text, want string }{
		{"a public name", "server { listen 443 ssl; server_name a.example.com; }", "a.example.com" + both + ", +0.0.0.0:80, redirects"},
		{"both families", "server { listen 443 ssl; listen [::]:443 ssl; server_name a.example.com; }", "a.example.com" + both + ", +0.0.0.0:80, +[::]:80, redirects"},
		{"one address", "server { listen 127.0.0.1:443 ssl; server_name a.example.com; }", "a.example.com" + both + ", +127.0.0.1:80, redirects"},
		{"capitals and letters of other scripts", "server { listen 443 ssl; server_name A.Example.com bücher.example.com; }",
			"a.example.com" + both + ", xn--bcher-kva.example.com" + both + ", +0.0.0.0:80, redirects"},
		{"private names beside public ones", "server { listen 443 ssl; server_name _ localhost a.internal 192.0.2.1 b.test example ~^x a.example.com; }", "a.example.com" + both + ", +0.0.0.0:80, redirects"},
		{"a dot without a hook", "server { listen 443 ssl; server_name .example.com; }", "example.com" + both + ", +0.0.0.0:80, redirects"},
		{"a dot with a hook", "acme_dns_hook /bin/x; server { listen 443 ssl; server_name .example.com; }", "example.com" + both + ", *.example.com" + both + ", +0.0.0.0:80, redirects"},
		{"another port, as behind a mapping", "server { listen 8443 ssl; server_name a.example.com; }", "a.example.com" + fromLE + " http=false alpn=true"},
		{"other ports for both", "server { listen 8443 ssl; listen 8080; server_name a.example.com; }", "a.example.com" + both},
		{"port 80 is its own", "server { listen 80; listen 443 ssl; server_name a.example.com; }", "a.example.com" + both},
		{"port 80 has its name", "server { listen 80; server_name .example.com; } server { listen 443 ssl; server_name a.example.com; }", "files; a.example.com" + both},
		{"port 80 has others' names", "server { listen 80; server_name b.example.com; } server { listen 443 ssl; server_name a.example.com; }", "files; a.example.com" + both + ", +0.0.0.0:80, redirects"},
		{"port 80 has others' names, and no redirect is wanted", "auto_redirect off; server { listen 80; server_name b.example.com; } server { listen 443 ssl; server_name a.example.com; }", "files; a.example.com" + both},
		{"no redirect is wanted", "auto_redirect off; server { listen 443 ssl; server_name a.example.com; }", "a.example.com" + both + ", +0.0.0.0:80"},
		{"port 80 of another address", "server { listen 127.0.0.1:80; } server { listen 443 ssl; server_name a.example.com; }", "files; a.example.com" + both},
		{"its issuer, as nginx's module has it", "acme_issuer i { uri https://ca.example.org/dir; } server { listen 80; } server { listen 443 ssl; server_name a.internal; acme_certificate i; }", "files; a.internal@i http=true alpn=true"},
		{"all issuers in turn", "acme_issuer i { uri https://ca.example.org/dir; } acme_issuer j { uri https://cb.example.org/dir; } server { listen 8443 ssl; server_name a.example.com; }", "a.example.com@i@j http=false alpn=true"},
		{"authorities in turn", "acme_ca https://ca.example.org/dir https://cb.example.org/dir; server { listen 8443 ssl; server_name a.example.com; }", "a.example.com@ca.example.org@cb.example.org http=false alpn=true"},
		{"a local authority", "tls_internal on; server { listen 443 ssl; server_name a.internal; }", "a.internal http=false alpn=true"},
		{"a local authority, no name", "tls_internal on; server { listen 443 ssl; }", "localhost http=false alpn=true"},
		{"a server that refuses", "server { listen 443 ssl default_server; ssl_reject_handshake on; } server { listen 443 ssl; server_name a.example.com; }", "files; a.example.com" + both + ", +0.0.0.0:80, redirects"},
	} {
		got, err := decide(t, c.text)
		if strings.Join(got, "; ") != c.want || err != nil {
			t.Errorf("%s:\n got %s, %v\nwant %s", c.name, strings.Join(got, "; "), err, c.want)
		}
	}
}

func TestServersThatNeedNothingGetNothing(t *testing.T) {
	t.Parallel()
	f := New(Options{State: t.TempDir()})
	held := 0
	look := proxy.Module{Name: "look", Generation: func(_ *config.Scope, g *proxy.Generation) error {
		g.Resources.Each(func(key string, _ any) {
			if key == "acme" {
				held++
			}
		})
		if c := f.Challenge(g, &stdtls.ClientHelloInfo{SupportedProtos: []string{"acme-tls/1"}}); c != nil {
			t.Error("a challenge is answered")
		}
		return nil
	}}
	if _, err := proxytest.Check(t, proxytest.Config{Text: "server { listen 80; server_name a.example.com; }", Modules: []proxy.Module{f.Module(), ssl.New(nil, f), look}}); err != nil || held != 0 {
		t.Errorf("%d sources, %v; want 0", held, err)
	}
}

func TestCertificatesCoverTheirNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		host []string
		not  []string
	}{
		{"a.example.com", []string{"a.example.com"}, []string{"", "example.com", "b.a.example.com"}},
		{"*.example.com", []string{"a.example.com", "b.example.com"}, []string{"", "example.com", "a.b.example.com", "aexample.com"}},
	} {
		for _, host := range slices.Concat(c.host, c.not) {
			if got, want := covers(c.name, host), slices.Contains(c.host, host); got != want {
				t.Errorf("%s covers %q: %v; want %v", c.name, host, got, want)
			}
		}
	}
}
