package varmap_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/header"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
	"alicorn/proxy/varmap"
)

func modules() []proxy.Module {
	return []proxy.Module{varmap.Module(), rewrite.Module(), header.Module()}
}

// site is served by both. What a location answers is in its text. A capture that stands
// before a map with groups is not compared: nginx takes its length before the map is
// read, and its text afterwards.
const site = `
	server {
		LISTEN
		server_name _;
		default_type text/plain;
		add_header X-Late "$late" always;
		location /set { set $early 1; set $words $arg_k; return 200 "[$words]"; }
		location /volatile { set $v a; return 200 "[$once $each] $arg_k"; }
		location /twice { set $a "$once $each"; set $n $arg_other; set $subject later; return 200 "$a [$once $each]"; }
		location ~ ^/capture/(.*)$ { return 200 "[$groups] $1 $2"; }
		location /captured { set $x "$groups"; return 200 "$1 $2 $name [$x]"; }
		location /if { if ($yes) { return 200 yes; } return 200 no; }
		location /rewrite { rewrite ^/rewrite/(.*)$ /to/$groups/$1? redirect; }
		location /cycle { return 200 "[$left]"; }
		location / { return 200 "[$words] [$hosts] [$patterns] [$nodefault] [$family$http_family] [$chained]"; }
	}
	map $arg_k $words { default other; a A; "" empty; B b; "two words" "$arg_k and $arg_other"; \default d; \~x tilde; \\back back; ~y regex; 10 ten; include DIR/more; include.txt i; }
	map $arg_k $hosts { hostnames; default none; example.com exact; *.example.com sub; .example.org both; www.example.* www; *.a.example.com longer; www.example.net exact2; www.* short; ~^www regex; *.EXAMPLE.NET upper; }
	map $arg_k $patterns { default none; ~^(?<first>[a-z])(\d) "$first-$2-$1"; ~*^AB ab; ~b+ bs; ~^$ never; abb word; "~ space" space; ~(?<!x)z$ behind; "~^x{2,3}$" repeat; }
	map "$arg_k-$arg_other" $nodefault { a-b ab; }
	map $arg_k $http_family { default mapped; }
	map $arg_k $family { a "$words$words"; default ""; }
	map $words $chained { a "$arg_k"; other "<$patterns>"; default "$hosts"; }
	map $arg_k $once { default "o$arg_other$n"; }
	map $arg_k $each { volatile; default "e$arg_other$n"; }
	map $arg_k $groups { "~^(?<name>.)(.*)$" "$2:$1"; default "none:$1"; }
	map $arg_k $yes { a 1; b 0; c ""; default yes; }
	map $late2 $late { default "late $late2"; x "X"; }
	map $arg_k $late2 { default $early; x x; }
	map $right $left { default "l$arg_k"; x "x$right"; }
	map $arg_k $right { default r; x $arg_other; }
	map $arg_k $replaced { default first; }
	map $arg_k $replaced { default second; }
`

func TestMapsDoWhatNginxDoes(t *testing.T) {
	dir := proxytest.NginxDir(t)
	more := filepath.Join(dir, "more")
	writeFile(t, more, "included yes;\nc \"from a file\";\n")
	text := strings.ReplaceAll(site, "DIR", dir)
	proxytest.StartNginx(t, dir, "access_log off; "+strings.ReplaceAll(text, "LISTEN", "listen unix:DIR/s;"))
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: strings.ReplaceAll(text, "LISTEN", "listen 80;")})
	keys := []string{"", "a", "A", "b", "B", "c", "default", "~x", "\\back", "y", "xyz", "10", "included", "include.txt", "hostnames", "volatile",
		"example.com", "Example.COM", "example.com.", ".", "..", "x.example.com", "b.a.example.com", "a.example.com", "example.org", "x.example.org",
		"www.example.net", "www.example.de", "www.example.co.uk", "www.foo", "www.", "www", "wwwx", "x.example.net", "notexample.com", "*.example.com",
		"a1", "a1b2", "abc", "ABC", "abb", "ABB", "b", "bb", " space", "xz", "yz", "xx", "xxxx", "two", "x", "%20", "q"}
	paths := []string{"/", "/set", "/volatile", "/twice", "/capture/one", "/captured", "/if", "/rewrite/z"}
	for _, k := range keys {
		for _, p := range paths {
			if p == "/rewrite/z" && k == "" {
				continue
			}
			target := p + "?k=" + strings.ReplaceAll(k, " ", "%20") + "&other=b"
			got := fmt.Sprint(answer(s.Get(target)))
			if want := ask(t, filepath.Join(dir, "s"), target); got != want {
				t.Errorf("%s:\nours  %s\nnginx %s", target, got, want)
			}
		}
	}
}

func answer(r *proxytest.Recorder) string {
	return fmt.Sprintf("%d %q %q %q", r.Status, strings.TrimSpace(r.Header.Get("X-Late")), r.Header.Get("Location"), page(r.Text()))
}

// page returns a text; status pages are not alike.
func page(text string) string {
	if strings.Contains(text, "<center>") {
		return "a status page"
	}
	return text
}

func ask(t *testing.T, socket, target string) string {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", target)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %q %q %q", res.StatusCode, res.Header.Get("X-Late"), res.Header.Get("Location"), page(string(body)))
}
