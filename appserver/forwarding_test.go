package appserver

import (
	"strings"
	"testing"

	"alicorn/appserver/gateway"
	"alicorn/appserver/wire"
	"alicorn/appserver/wsgi"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/realip"
)

func TestApplicationsSeeTheWayOfARequestAsAnNginxInFrontWouldSayIt(t *testing.T) {
	spoofed := []string{"X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 7.7.7.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-FORWARDED-PORT: 1",
		"Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6", "X-Forwarded-Prefix: /evil", "X-Forwarded-Ssl: on", "X-Other: stays",
		"X_Forwarded_For: 8.8.8.8", "X-Forwarded_Proto: https", "X_real_IP: 6.6.6.6", "x-forwarded_prefix: /evil"}
	const own = "HTTP_X_FORWARDED_FOR=203.0.113.9 HTTP_X_FORWARDED_HOST=shop HTTP_X_FORWARDED_PORT=80 HTTP_X_FORWARDED_PROTO=http HTTP_X_REAL_IP=203.0.113.9 wsgi.url_scheme=http"
	for _, c := range []struct {
		name, settings, server, remote string
		fields                         []string
		want                           string
	}{
		{"a client says nothing", "", "", "203.0.113.9", nil, own},
		{"a client says all", "", "", "203.0.113.9", spoofed, own},
		{"a client says all, underscores kept", "", "underscores_in_headers on;", "203.0.113.9", spoofed, own},
		{"none is trusted", "forwarded_allow_ips none;", "", "127.0.0.1", spoofed, strings.ReplaceAll(own, "203.0.113.9", "127.0.0.1")},
		{"a proxy says nothing", "", "", "10.1.2.3", nil, "HTTP_X_FORWARDED_FOR=10.1.2.3 wsgi.url_scheme=http"},
		{"a proxy's word", "", "", "10.1.2.3", []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Real-IP: 6.6.6.6"},
			"HTTP_X_FORWARDED_FOR=6.6.6.6, 10.1.2.3 HTTP_X_FORWARDED_PROTO=https HTTP_X_REAL_IP=6.6.6.6 wsgi.url_scheme=https"},
		{"a proxy's two lines", "", "", "::1", []string{"X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 7.7.7.7"}, "HTTP_X_FORWARDED_FOR=6.6.6.6, 7.7.7.7, ::1 wsgi.url_scheme=http"},
		{"kept", "forwarded_for keep;", "", "192.168.0.1", []string{"X-Forwarded-For: 6.6.6.6"}, "HTTP_X_FORWARDED_FOR=6.6.6.6 wsgi.url_scheme=http"},
		{"kept, where nothing is said", "forwarded_for keep;", "", "192.168.0.1", nil, "wsgi.url_scheme=http"},
		{"listed", "forwarded_allow_ips 203.0.113.0/24;", "", "203.0.113.9", []string{"X-Forwarded-Proto: https"}, "HTTP_X_FORWARDED_FOR=203.0.113.9 HTTP_X_FORWARDED_PROTO=https wsgi.url_scheme=https"},
		{"not listed", "forwarded_allow_ips 192.0.2.1,192.0.2.2;", "", "203.0.113.9", spoofed, own},
		{"all", "forwarded_allow_ips *;", "", "203.0.113.9", []string{"X-Forwarded-Ssl: on"}, "HTTP_X_FORWARDED_FOR=203.0.113.9 HTTP_X_FORWARDED_SSL=on wsgi.url_scheme=https"},
		{"a WebSocket's word", "", "", "10.1.2.3", []string{"X-Forwarded-Proto: wss"}, "HTTP_X_FORWARDED_FOR=10.1.2.3 HTTP_X_FORWARDED_PROTO=wss wsgi.url_scheme=https"},
		{"contradiction", "", "", "127.0.0.1", []string{"X-Forwarded-Proto: http", "X-Forwarded-Protocol: ssl"},
			"HTTP_X_FORWARDED_FOR=127.0.0.1 HTTP_X_FORWARDED_PROTO=http HTTP_X_FORWARDED_PROTOCOL=ssl wsgi.url_scheme=http"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(configText(t, "workers 1; "+c.settings), "server {", "server { "+c.server, 1)
			s := newSiteWith(t, NewRuntime(Options{}), text)
			r := s.Do(proxytest.Request{Target: "/environ", Host: "shop", Remote: c.remote, Fields: c.fields})
			var got []string
			for line := range strings.Lines(r.Text()) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				if strings.Contains(key, "FORWARDED") || strings.Contains(key, "REAL_IP") || key == "wsgi.url_scheme" {
					got = append(got, key+"="+strings.Trim(value, "'"))
				}
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("got\n%s\nwant\n%s", g, c.want)
			}
		})
	}
}

// The peer of the connection, not the client behind it, is who is believed.
func TestApplicationsSeeTheClientThatTheProxyTellsOf(t *testing.T) {
	for _, c := range []struct {
		name, settings, remote string
		want                   string
	}{
		{"a trusted peer", "", "10.1.2.3", "HTTP_X_FORWARDED_FOR=203.0.113.9:4711, 203.0.113.9 HTTP_X_FORWARDED_PROTO=https REMOTE_ADDR=203.0.113.9 REMOTE_PORT=4711 wsgi.url_scheme=https"},
		{"a trusted peer, kept", "forwarded_for keep;", "10.1.2.3", "HTTP_X_FORWARDED_FOR=203.0.113.9:4711 HTTP_X_FORWARDED_PROTO=https REMOTE_ADDR=203.0.113.9 REMOTE_PORT=4711 wsgi.url_scheme=https"},
		{"another peer", "forwarded_allow_ips none;", "10.1.2.3",
			"HTTP_X_FORWARDED_FOR=203.0.113.9 HTTP_X_FORWARDED_PROTO=http HTTP_X_REAL_IP=203.0.113.9 REMOTE_ADDR=203.0.113.9 REMOTE_PORT=4711 wsgi.url_scheme=http"},
		{"the client is not the peer", "forwarded_allow_ips 203.0.113.9;", "10.1.2.3",
			"HTTP_X_FORWARDED_FOR=203.0.113.9 HTTP_X_FORWARDED_PROTO=http HTTP_X_REAL_IP=203.0.113.9 REMOTE_ADDR=203.0.113.9 REMOTE_PORT=4711 wsgi.url_scheme=http"},
		{"nobody told", "", "10.9.9.9", "HTTP_X_FORWARDED_FOR=203.0.113.9:4711, 10.9.9.9 HTTP_X_FORWARDED_PROTO=https REMOTE_ADDR=10.9.9.9 REMOTE_PORT=50000 wsgi.url_scheme=https"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(configText(t, "workers 1; "+c.settings), "server {", "server { set_real_ip_from 10.1.2.3; real_ip_header X-Forwarded-For;", 1)
			s := proxytest.New(t, proxytest.Config{Text: text, Modules: []proxy.Module{realip.Module(), Module(NewRuntime(Options{}), nil)}})
			r := s.Do(proxytest.Request{Target: "/environ", Host: "shop", Remote: c.remote, Fields: []string{"X-Forwarded-For: 203.0.113.9:4711", "X-Forwarded-Proto: https"}})
			var got []string
			for line := range strings.Lines(r.Text()) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				switch key {
				case "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP", "REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme":
					got = append(got, key+"="+strings.Trim(value, "'"))
				}
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("got\n%s\nwant\n%s", g, c.want)
			}
		})
	}
}

// A unix socket has no port: its requests have that of the scheme the proxy before it names.
func TestAUnixSocketHasThePortOfItsScheme(t *testing.T) {
	for forwarded, want := range map[string]string{"https": "443", "http": "80", "": "80"} {
		x := proxy.NewExchange(&proxy.Conn{RemoteAddr: "unix:"}, nil)
		x.Location, x.Req.Scheme = &proxy.Location{Core: &proxy.Core{}}, "http"
		if forwarded != "" {
			x.Req.Header.Add("X-Forwarded-Proto", forwarded)
		}
		var e wire.Environ
		wsgi.Environ(&e, gateway.Request{Exchange: x, Way: (&forwarding{keep: true}).way(x), Length: -1})
		got := ""
		e.Each(func(name, value string) {
			if name == "SERVER_PORT" {
				got = value
			}
		})
		if got != want {
			t.Errorf("X-Forwarded-Proto %q: the port is %q, want %q", forwarded, got, want)
		}
	}
}
