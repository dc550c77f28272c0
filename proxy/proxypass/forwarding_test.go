package proxypass

import (
	"fmt"
	"strings"
	"testing"

	"alicorn/proxy"
)

// A client cannot choose the fields of proxy_headers, unless it is a trusted proxy.
func TestServersAreToldTheWayOfARequest(t *testing.T) {
	sent := []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-For", "5.6.7.8", "X-Forwarded-Proto", "https", "X-Forwarded-Prefix", "/x", "X_Real_IP", "9.9.9.9", "Forwarded", "for=1.2.3.4"}
	for _, c := range []struct {
		peer, binary string
		fields       []string
		want         string
		hidden       string
	}{
		{"192.0.2.1", "\xc0\x00\x02\x01", nil, `X-Forwarded-For: 192.0.2.1
X-Forwarded-Proto: http
X-Forwarded-Host: site:81
X-Forwarded-Port: 81
X-Real-IP: 192.0.2.1
Forwarded: for=192.0.2.1;proto=http;host="site:81"
`, ""},
		{"192.0.2.1", "\xc0\x00\x02\x01", sent, `X-Forwarded-For: 192.0.2.1
X-Forwarded-Proto: http
X-Forwarded-Host: site:81
X-Forwarded-Port: 81
X-Real-IP: 192.0.2.1
Forwarded: for=192.0.2.1;proto=http;host="site:81"
`, "X-Forwarded-For X-Forwarded-For X-Forwarded-Proto X-Forwarded-Prefix X_Real_IP Forwarded"},
		{"2001:db8::1", "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01", nil, `X-Forwarded-For: 2001:db8::1
X-Forwarded-Proto: http
X-Forwarded-Host: site:81
X-Forwarded-Port: 81
X-Real-IP: 2001:db8::1
Forwarded: for="[2001:db8::1]";proto=http;host="site:81"
`, ""},
		{"10.0.0.1", "\x0a\x00\x00\x01", sent, `X-Forwarded-For: 1.2.3.4, 5.6.7.8, 10.0.0.1
X-Forwarded-Proto: https
X-Forwarded-Host: site:81
X-Forwarded-Port: 81
X-Real-IP: 10.0.0.1
Forwarded: for=1.2.3.4, for=10.0.0.1;proto=http;host="site:81"
`, "X-Forwarded-For X-Forwarded-For X-Forwarded-Proto X_Real_IP Forwarded"},
		{"unix:", "", nil, `X-Forwarded-For: unix:
X-Forwarded-Proto: http
X-Forwarded-Host: site:81
X-Forwarded-Port: 81
X-Real-IP: unix:
Forwarded: for=unknown;proto=http;host="site:81"
`, ""},
	} {
		x := proxy.NewExchange(&proxy.Conn{RemoteAddr: c.peer, RemoteBinary: c.binary, LocalPort: "81"}, nil)
		x.Req.Scheme, x.Req.Authority = "http", "site:81"
		for i := 0; i < len(c.fields); i += 2 {
			x.Req.Header.Add(c.fields[i], c.fields[i+1])
		}
		f, trusted := newForwarding(nil), x.Conn.Nearby()
		got := strings.ReplaceAll(string(f.appendTo(nil, x, trusted)), "\r\n", "\n")
		var hidden []string
		for i := range x.Req.Header.Len() {
			if name := x.Req.Header.At(i).Name; f.hides(name, trusted) {
				hidden = append(hidden, name)
			}
		}
		if got != c.want || strings.Join(hidden, " ") != c.hidden {
			t.Errorf("%s with %q\n%s\nwant\n%s\nhidden %q, want %q", c.peer, c.fields, got, c.want, hidden, c.hidden)
		}
	}
}

func TestProxyHeadersGiveWayToProxySetHeader(t *testing.T) {
	o := startOrigin(t, "tcp", echo)
	s := newSite(t, "server { listen 127.0.0.1:80; proxy_headers on; location / { proxy_pass http://"+o.addr+"; } location /own { proxy_pass http://"+o.addr+"; proxy_set_header Host own; proxy_set_header X-Real-IP ''; } }")
	for target, want := range map[string][]string{
		"/":    {"Host: site", "X-Real-Ip: 127.0.0.1", "X-Forwarded-Host: site"},
		"/own": {"Host: own", "X-Forwarded-Host: site", "X-Forwarded-For: 127.0.0.1"},
	} {
		_, body := ask(t, s, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: site\r\n\r\n", target))
		for _, w := range want {
			if !strings.Contains(body, w+"\n") {
				t.Errorf("%s: got %q, want %q in it", target, body, w)
			}
		}
		if own := strings.Contains(body, "X-Real-Ip"); own != (target == "/") || strings.Count(body, "Host: site") > 2 {
			t.Errorf("%s: got %q, want the client's X-Real-Ip only for /, and Host at most twice", target, body)
		}
	}
}
