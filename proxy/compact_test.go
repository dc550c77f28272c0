package proxy_test

import (
	"testing"
	"unsafe"

	"alicorn/proxy"
)

func TestACompactRequestNeedsNoBuffer(t *testing.T) {
	buf := []byte("GET /a%20b?c=d HTTP/1.1|Host|example.com|X-Empty|")
	in := func(from, to int) string { return unsafe.String(&buf[from], to-from) } // as a protocol loop has them
	r := proxy.Request{Method: in(0, 3), Target: in(4, 14), Line: in(0, 23), Args: in(11, 14), Path: "/a b", Host: in(29, 40)}
	r.Header.Add(in(24, 28), in(29, 40))
	r.Header.Add(in(41, 48), "")
	r.Compact()
	clear(buf)
	for _, c := range []struct{ name, got, want string }{
		{"method", r.Method, "GET"}, {"target", r.Target, "/a%20b?c=d"}, {"line", r.Line, "GET /a%20b?c=d HTTP/1.1"}, {"arguments", r.Args, "c=d"},
		{"path", r.Path, "/a b"}, {"host", r.Host, "example.com"}, {"first field", r.Header.At(0).Name, "Host"}, {"Host", r.Header.Value(proxy.FieldHost), "example.com"},
		{"second field", r.Header.At(1).Name, "X-Empty"}, {"X-Empty", r.Header.Get("X-Empty"), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}
