package proxy_test

import (
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func TestUpstreamVariablesListEveryTry(t *testing.T) {
	full := func(u *proxy.Upstream, peer string, status int) {
		*u.Try(peer) = proxy.Try{Peer: peer, Status: status, Connect: time.Millisecond, Header: 20 * time.Millisecond, Response: 1300 * time.Millisecond, Sent: 100, Received: 250, Length: 50}
	}
	names := []string{"addr", "status", "connect_time", "header_time", "response_time", "bytes_sent", "bytes_received", "response_length"}
	for _, c := range []struct {
		name string
		make func(u *proxy.Upstream)
		want []string
	}{
		{"none", func(*proxy.Upstream) {}, []string{"", "", "", "", "", "", "", ""}},
		{"one", func(u *proxy.Upstream) { u.Begin(); full(u, "a:1", 200) },
			[]string{"a:1", "200", "0.001", "0.020", "1.300", "100", "250", "50"}},
		{"a second server", func(u *proxy.Upstream) { u.Begin(); u.Try("a:1").Status = 502; full(u, "b:1", 200) },
			[]string{"a:1, b:1", "502, 200", "-, 0.001", "-, 0.020", "-, 1.300", "0, 100", "0, 250", "0, 50"}},
		{"sent on", func(u *proxy.Upstream) {
			u.Begin()
			full(u, "web:1", 200)
			u.Begin()
			u.Try("a:1")
			full(u, "b:1", 404)
		},
			[]string{"web:1 : a:1, b:1", "200 : -, 404", "0.001 : -, 0.001", "0.020 : -, 0.020", "1.300 : -, 1.300", "100 : 0, 100", "250 : 0, 250", "50 : 0, 50"}},
		{"sent on to nobody", func(u *proxy.Upstream) { u.Begin(); full(u, "web:1", 200); u.Begin() },
			[]string{"web:1", "200", "0.001", "0.020", "1.300", "100", "250", "50"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &config.Load{Schema: config.NewSchema(), Resources: config.NewResources(proxytest.NewHost())}
			proxy.Declare(l, []proxy.Module{proxy.NewCore(proxy.Options{})})
			var templates []*proxy.Template
			for _, name := range names {
				templates = append(templates, proxy.ParseTemplate(l, config.Pos{}, "$upstream_"+name))
			}
			if err := l.Finish(); err != nil {
				t.Fatal(err)
			}
			x := proxy.NewExchange(&proxy.Conn{}, proxytest.NewRecorder(""))
			for range 2 { // a connection's next request begins without tries
				c.make(&x.Upstream)
				for i, name := range names {
					if got := templates[i].String(x); got != c.want[i] {
						t.Errorf("$upstream_%s is %q, want %q", name, got, c.want[i])
					}
				}
				x.Reset()
			}
			if x.Upstream.Last() != nil {
				t.Errorf("the try %+v is left, want none", x.Upstream.Last())
			}
		})
	}
}
