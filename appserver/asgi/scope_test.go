package asgi

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"alicorn/appserver/gateway"
	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// newRequest returns a GET of / of shop on a clear TCP connection.
func newRequest(fields ...string) gateway.Request {
	x := proxy.NewExchange(&proxy.Conn{RemoteAddr: "192.0.2.9", RemotePort: "50000", LocalAddr: "192.0.2.1", LocalPort: "80"}, nil)
	x.Location = &proxy.Location{Core: &proxy.Core{}}
	r := &x.Req
	r.Method, r.Target, r.Proto, r.Major, r.Minor, r.Scheme = "GET", "/", "HTTP/1.1", 1, 1, "http"
	r.Path, r.Asked, r.Host, r.Authority = "/", "/", "shop", "shop:80"
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return gateway.Request{Exchange: x, Way: gateway.Way{Scheme: "http", Trusted: true, Keep: true}, Length: -1}
}

// scopeOf returns the pairs of q's scope in their order.
func scopeOf(q gateway.Request) string {
	var e wire.Environ
	Scope(&e, q)
	var b strings.Builder
	e.Each(func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, value) })
	return b.String()
}

func TestAScopeHasTheFactsOfItsRequest(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		change func(q *gateway.Request)
		want   []string // lines that the scope has
		lacks  []string // beginnings of lines that it has not
	}{
		{"plain", []string{"Host: shop:80", "X-B: 1", "x-a: 2", "X-B: 3"}, nil,
			[]string{"=type=http", "=http_version=1.1", "=method=GET", "=scheme=http", "=server_port=80", "=server=192.0.2.1", "=raw_path=/", "=query_string=",
				"=client_host=192.0.2.9", "=client_port=50000", "host=shop:80\nx-b=1\nx-a=2\nx-b=3"},
			[]string{"=length", "=root_path", "=tls_version", "x-forwarded"}},
		{"a target as the client has sent it", nil, func(q *gateway.Request) {
			q.Req.Target, q.Req.Asked, q.Req.Args = "/a%20b/%C3%A9?x=%20", "/a b/\xc3\xa9", "x=%20"
		},
			[]string{"=raw_path=/a%20b/%C3%A9", "=query_string=x=%20"}, nil},
		{"a path that a rewrite has made", nil, func(q *gateway.Request) { q.Req.Target = "/old?x=1"; q.ChangeURI("/new \xc3\xa9", "y=2") },
			[]string{"=raw_path=/new%20%C3%A9", "=query_string=y=2"}, nil},
		{"a method of the client's own", nil, func(q *gateway.Request) { q.Req.Method = "PURGE" }, []string{"=client_port=50000\n=method=PURGE"}, nil},
		{"HTTP/1.0 without a host", nil, func(q *gateway.Request) {
			q.Req.Proto, q.Req.Minor, q.Req.Authority, q.Req.Host = "HTTP/1.0", 0, "", ""
		}, []string{"=http_version=1.0", "=server=192.0.2.1"}, []string{"host="}},
		{"HTTP/2 and TLS", nil, func(q *gateway.Request) {
			q.Req.Proto, q.Req.Major, q.Req.Minor, q.Way.Scheme = "HTTP/2.0", 2, 0, "https"
			q.Conn.TLS = &tls.ConnectionState{Version: tls.VersionTLS13}
		}, []string{"=http_version=2", "=scheme=https", "=tls_version=772"}, nil},
		{"a unix socket", nil, func(q *gateway.Request) {
			q.Conn.RemoteAddr, q.Conn.RemotePort, q.Conn.LocalAddr, q.Conn.LocalPort = "unix:", "", "unix:/run/s", ""
		}, []string{"=server_port=", "=server=/run/s", "=client_host=", "=client_port="}, nil},
		{"a server's own name", nil, func(q *gateway.Request) { q.Server = &proxy.Server{Name: "shop.example"} }, []string{"=server=shop.example"}, nil},
		{"a root path", nil, func(q *gateway.Request) { q.RootPath = "/api" }, []string{"=root_path=/api"}, nil},
		{"a body", []string{"Content-Length: 7", "Content-Type: text/x"}, func(q *gateway.Request) { q.Length = 7 },
			[]string{"=length=7", "content-length=7\ncontent-type=text/x"}, nil},
		{"a chunked body that was read", []string{"Transfer-Encoding: chunked", "X-A: 1"}, func(q *gateway.Request) { q.Length = 9 },
			[]string{"=length=9", "content-length=9\nx-a=1"}, []string{"transfer-encoding"}},
		{"a chunked body that comes", []string{"Transfer-Encoding: chunked"}, nil, []string{"transfer-encoding=chunked"}, []string{"content-length", "=length"}},
		{"fields of the connection", []string{"Connection: close", "Upgrade: h2c", "TE: trailers", "Keep-Alive: x", "Proxy: evil", "Proxy-Authorization: x", "X_A: 1"}, nil, nil,
			[]string{"connection", "upgrade", "te", "keep-alive", "proxy", "x_a"}},
		{"a websocket", []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k", "Sec-WebSocket-Protocol: a, b"},
			func(q *gateway.Request) { q.WebSocket, q.Way.Scheme = true, "https" },
			[]string{"=type=websocket", "=scheme=wss", "connection=Upgrade\nupgrade=websocket\nsec-websocket-key=k\nsec-websocket-protocol=a, b"}, []string{"=method"}},
		{"a peer that is no proxy", []string{"X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6"}, func(q *gateway.Request) { q.Way.Trusted = false },
			[]string{"x-forwarded-proto=http", "x-forwarded-port=80", "x-forwarded-for=192.0.2.9", "x-real-ip=192.0.2.9", "x-forwarded-host=shop:80"}, []string{"forwarded"}},
		{"a trusted proxy", []string{"X-Forwarded-For: 6.6.6.6"}, func(q *gateway.Request) { q.Way.Keep = false }, []string{"x-forwarded-for=6.6.6.6, 192.0.2.9"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := newRequest(c.fields...)
			if c.change != nil {
				c.change(&q)
			}
			got := "\n" + scopeOf(q)
			for _, want := range c.want {
				if !strings.Contains(got, "\n"+want+"\n") {
					t.Errorf("the scope lacks %q:%s; want %q in it", want, got, "\n"+want+"\n")
				}
			}
			for _, lacks := range c.lacks {
				if strings.Contains(got, "\n"+lacks) {
					t.Errorf("the scope has %q:%s; want no %q in it", lacks, got, "\n"+lacks)
				}
			}
		})
	}
}

func TestALineNamesMethodAndTarget(t *testing.T) {
	q := newRequest()
	q.Req.Method, q.Req.Target, q.Req.Args = "POST", "/a%20b?x=1", "x=1"
	var e wire.Environ
	for _, c := range []struct {
		websocket bool
		want      string
	}{{false, "POST /a%20b?x=1"}, {true, "GET /a%20b?x=1"}} {
		q.WebSocket = c.websocket
		Scope(&e, q)
		if got := Line(&e); got != c.want {
			t.Errorf("websocket %v: got %q, want %q", c.websocket, got, c.want)
		}
	}
}

func TestAScopeCostsNoAllocation(t *testing.T) {
	q := browserRequest()
	var e wire.Environ
	buf := make([]byte, 0, 8<<10)
	if n := testing.AllocsPerRun(100, func() {
		Scope(&e, q)
		buf, _ = e.AppendTo(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func browserRequest() gateway.Request {
	q := newRequest("Host: shop:80", "Connection: keep-alive", "Upgrade-Insecure-Requests: 1",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-GB,en;q=0.9", "Cookie: sessionid="+strings.Repeat("b", 32))
	q.Req.Target, q.Req.Asked, q.Req.Args = "/shop/cart?item=42", "/shop/cart", "item=42"
	return q
}

func BenchmarkScope(b *testing.B) {
	for _, c := range []struct {
		name string
		q    gateway.Request
	}{{"browser", browserRequest()}, {"bare", newRequest("Host: shop:80")}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			e, buf := &wire.Environ{}, make([]byte, 0, 8<<10)
			for b.Loop() {
				Scope(e, c.q)
				buf, _ = e.AppendTo(buf[:0])
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
