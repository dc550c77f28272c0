package realip_test

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
	"alicorn/proxy/realip"
)

// shown is what is compared. $binary_remote_addr is no text.
const shown = `add_header X-Seen "$remote_addr $remote_port $realip_remote_addr" always;`

// blocks are the directives of a server and of its location. Peers come from
// a unix socket.
var blocks = []struct{ server, location string }{
	{``, ``},
	{`set_real_ip_from 10.0.0.0/8;`, ``}, // not the peer
	{`set_real_ip_from unix:;`, ``},
	{`set_real_ip_from unix:; real_ip_header X-Forwarded-For;`, ``},
	{`set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8; set_real_ip_from 2001:db8::/32; set_real_ip_from 192.0.2.7; real_ip_header X-Forwarded-For; real_ip_recursive on;`, ``},
	{`set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8; set_real_ip_from 2001:db8::/32; real_ip_header X-Forwarded-For;`, ``},
	{`set_real_ip_from unix:; set_real_ip_from 0.0.0.0/0; set_real_ip_from ::/0; real_ip_header X-Forwarded-For; real_ip_recursive on;`, ``},
	{`set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8; real_ip_recursive on;`, ``},
	{`set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8; real_ip_header X-Client; real_ip_recursive on;`, ``},
	{``, `set_real_ip_from unix:; real_ip_header X-Forwarded-For;`},
	{`set_real_ip_from unix:; real_ip_header X-Client;`, `real_ip_header X-Forwarded-For;`},                              // the server's first, else the location's
	{`set_real_ip_from unix:; real_ip_header X-Forwarded-For;`, `set_real_ip_from 10.0.0.0/8; real_ip_header X-Client;`}, // once a request
	{`set_real_ip_from unix:; real_ip_header proxy_protocol;`, ``},                                                       // none was due
}

// lists are what stands in X-Forwarded-For, with several lines separated by "|".
var lists = []string{
	"192.0.2.1", "192.0.2.1, 10.0.0.1", "10.0.0.1, 192.0.2.1", "192.0.2.1,10.0.0.1,10.0.0.2", "192.0.2.1 10.0.0.1", "10.0.0.1, 10.0.0.2", "192.0.2.7, 10.0.0.2",
	"192.0.2.1, 192.0.2.7, 10.0.0.1", "192.0.2.1:4711", "192.0.2.1:4711, 10.0.0.1:80", "192.0.2.1:0", "192.0.2.1:65535", "192.0.2.1:65536", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:+1",
	"192.0.2.1:80:90", ":80", ":", "2001:db8::1", "2001:db9::1, 2001:db8::1", "[2001:db9::1]:80", "[2001:db9::1]", "[2001:db9::1]:", "[2001:db9::1]80", "[192.0.2.1]:80", "[]:80", "[", "]", "[:80",
	"2001:DB9:0:0::1", "::ffff:192.0.2.1", "::ffff:10.0.0.1", "192.0.2.1, ::ffff:10.0.0.1", "fe80::1%eth0", "::", "::1", "2001:db9::1::2", "12345::1",
	"unknown", "unknown, 10.0.0.1", "10.0.0.1, unknown", "192.0.2.1, unknown, 10.0.0.1", "_hidden", "localhost", "unix:", "unix:, 10.0.0.1", "-",
	"", ",", ", ,", ",192.0.2.1", ", 192.0.2.1", "192.0.2.1,", "192.0.2.1 , ,", "192.0.2.1,,10.0.0.1", "192.0.2.1,\t10.0.0.1", "192.0.2.1;10.0.0.1", "a 192.0.2.1", "a,192.0.2.1", "\"192.0.2.1\"", "for=192.0.2.1",
	"192.0.2", "192.0.2.1.5", "192.0.2.256", "192.0.2.-1", "0xc0.0.2.1", "3221225985", "0192.0.02.001", "192..2.1", "...", "0.0.0.0", "255.255.255.255", "192.0.2.1/24", "1", "1,", "a,",
	"192.0.2.1|10.0.0.1", "10.0.0.1|192.0.2.1", "192.0.2.1, 10.0.0.1|10.0.0.2", "192.0.2.1|unknown", "192.0.2.1|unknown, 10.0.0.1", "192.0.2.1|", "|192.0.2.1", "10.0.0.1|10.0.0.2", "192.0.2.1|192.0.2.2|10.0.0.3",
	"192.0.2.1|,10.0.0.1", "192.0.2.1|10.0.0.1,", "unknown|10.0.0.1",
}

// requests are the fields of each request.
func requests() (all [][]string) {
	for _, list := range lists {
		var lines []string
		for line := range strings.SplitSeq(list, "|") {
			lines = append(lines, "X-Forwarded-For: "+line)
		}
		all = append(all, lines)
	}
	for _, list := range lists[:24] {
		all = append(all, []string{"X-Real-IP: " + list}, []string{"x-client: " + list})
	}
	return append(all, nil,
		[]string{"X-Real-IP: 192.0.2.1", "X-Real-IP: 192.0.2.2"},
		[]string{"X-Client: 10.0.0.1", "X-Client: 192.0.2.2"},
		[]string{"X-Client: unknown", "X-Forwarded-For: 192.0.2.2"},
		[]string{"X-Client: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Real-IP: 192.0.2.3"},
		[]string{"x-forwarded-for: 192.0.2.1", "X-FORWARDED-FOR: 10.0.0.2"})
}

func TestAddressesAreReplacedAsNginxDoes(t *testing.T) {
	dir := proxytest.NginxDir(t)
	var theirs strings.Builder
	theirs.WriteString("access_log off; root DIR/none; ")
	for i, b := range blocks {
		fmt.Fprintf(&theirs, "server { listen unix:DIR/%d; %s %s location / { %s try_files /none =404; } }\n", i, b.server, shown, b.location)
	}
	defer proxytest.StartNginx(t, dir, theirs.String())()
	for i, b := range blocks {
		ours := start(t, fmt.Sprintf("server { listen 80; %s %s location / { %s } }", b.server, shown, b.location))
		nginx := connect(t, filepath.Join(dir, fmt.Sprint(i)))
		for _, fields := range requests() {
			want := nginx.ask(fields)
			r := ours.Do(proxytest.Request{Remote: "unix:", Fields: fields})
			if got := r.Header.Get("X-Seen"); got != want {
				t.Errorf("%+v\n%q\nours  %q\nnginx %q", b, fields, got, want)
			}
		}
	}
}

func TestTheProxyProtocolTellsTheAddressAsInNginx(t *testing.T) {
	dir := proxytest.NginxDir(t)
	blocks := []string{
		`set_real_ip_from unix:; real_ip_header proxy_protocol;`,
		`set_real_ip_from unix:; set_real_ip_from 192.0.2.0/24; real_ip_header proxy_protocol; real_ip_recursive on;`,
		`set_real_ip_from 192.0.2.0/24; real_ip_header proxy_protocol;`,
		`set_real_ip_from unix:; real_ip_header X-Real-IP;`,
	}
	var theirs strings.Builder
	for i, b := range blocks {
		fmt.Fprintf(&theirs, "server { listen unix:DIR/%d proxy_protocol; %s %s return 204; }\n", i, b, shown)
	}
	defer proxytest.StartNginx(t, dir, theirs.String())()
	for i, b := range blocks {
		ours := start(t, "server { listen 80; "+b+shown+" location / { } }")
		for _, head := range []string{"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n", "PROXY TCP6 2001:db8::1 2001:db8::2 1 80\r\n", "PROXY UNKNOWN\r\n"} {
			nginx := connect(t, filepath.Join(dir, fmt.Sprint(i)))
			io.WriteString(nginx.nc, head)
			fields := []string{"X-Real-IP: 192.0.2.9"}
			want := nginx.ask(fields)
			r := ours.Do(proxytest.Request{Remote: "unix:", ProxyProtocol: head, Fields: fields})
			if got := r.Header.Get("X-Seen"); got != want {
				t.Errorf("%s\n%q\nours  %q\nnginx %q", b, head, got, want)
			}
		}
	}
}

func start(t *testing.T, text string) *proxytest.Server {
	t.Helper()
	return proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{realip.Module(), header.Module()}})
}

// peer is a kept connection to nginx.
type peer struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

func connect(t *testing.T, socket string) *peer {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	return &peer{t, nc, bufio.NewReader(nc)}
}

// ask returns the field X-Seen of the answer.
func (p *peer) ask(fields []string) string {
	p.t.Helper()
	fmt.Fprintf(p.nc, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", strings.Join(append(fields, ""), "\r\n"))
	res, err := http.ReadResponse(p.br, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	return res.Header.Get("X-Seen")
}
