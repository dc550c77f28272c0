package upstream

import (
	"fmt"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// makeHead returns a head with status and fields, name and value in turn.
func makeHead(status int, fields ...string) (*Head, error) {
	h := &Head{}
	err := h.Begin(status, "")
	for i := 0; i+1 < len(fields) && err == nil; i += 2 {
		err = h.Add(fields[i], fields[i+1])
	}
	h.End()
	return h, err
}

// describe is what a client would see of h.
func describe(h *Head) string {
	var got []string
	for _, f := range h.Fields {
		got = append(got, f.Name+": "+f.Value)
	}
	if h.Length >= 0 {
		got = append(got, fmt.Sprint("length ", h.Length))
	}
	if h.ContentType != "" {
		got = append(got, "type "+h.ContentType)
	}
	return strings.Join(got, ", ")
}

func TestFieldsOfTheConnectionAreLeftOutOfAHead(t *testing.T) {
	for _, c := range []struct {
		status int
		fields []string
		want   string
	}{
		{200, []string{"Connection", "keep-alive", "X-A", "b"}, "X-A: b"},
		{200, []string{"KEEP-ALIVE", "timeout=5", "te", "trailers", "Transfer-Encoding", "chunked", "proxy-connection", "close"}, ""},
		{200, []string{"Trailer", "X", "Proxy-Authenticate", "Basic"}, "Trailer: X, Proxy-Authenticate: Basic"},
		{200, []string{"Trailer", "X", "Connection", "trailer"}, ""},
		{426, []string{"Connection", "upgrade", "Upgrade", "websocket"}, "Upgrade: websocket"},
		{200, []string{"X-Hop", "1", "Connection", "close, x-hop,,", "X-A", "b"}, "X-A: b"},
		{200, []string{"Connection", "close", "Connection", "\tX-HOP ", "x-hop", "1"}, ""},
		{200, []string{"Connection", "server", "Server", "x"}, ""},
		{200, []string{"Content-Length", "1", "Connection", "Content-Length"}, "length 1"},
		{200, []string{"Content-Type", "a/b", "Connection", "x"}, "type a/b"},
		{200, []string{"Content-Type", "a/b", "Connection", "content-type"}, ""},
		{101, []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Accept", "x"}, "Upgrade: websocket, Sec-WebSocket-Accept: x"},
	} {
		h, err := makeHead(c.status, c.fields...)
		if err != nil {
			t.Errorf("%q: got %v, want no error", c.fields, err)
		} else if got := describe(h); got != c.want {
			t.Errorf("%q: got %q, want %q", c.fields, got, c.want)
		}
	}
}

// Many names, and many fields, cost time in proportion to their number.
func TestManyNamesOfAConnectionAreLookedUpAtOnce(t *testing.T) {
	for n, want := range map[int]string{1: "X-Kept: 1", fewNames: "X-Kept: 1", fewNames + 1: "X-Kept: 1", 5000: "X-Kept: 1"} {
		fields := []string{"X-Kept", "1"}
		var list []string
		for i := range n {
			fields = append(fields, fmt.Sprintf("X-%d", i), "a")
			list = append(list, fmt.Sprintf("x-%d", i))
		}
		h, err := makeHead(200, append(fields, "Connection", strings.Join(list, ", "))...)
		if got := describe(h); err != nil || got != want {
			t.Errorf("%d names: got %.200q, %v, want %q", n, got, err, want)
		}
		if set := newNames(list); (set.many != nil) != (n > fewNames) || n > 64 && set.many == nil {
			t.Errorf("%d names: got a map %v, want one only for more than %d", n, set.many != nil, fewNames)
		}
	}
}

func TestManyParametersOfAContentTypeAreCopiedOnce(t *testing.T) {
	many := strings.Repeat(";a=b", 5000)
	allocations := testing.AllocsPerRun(10, func() {
		h, err := makeHead(200, "Content-Type", "text/html;charset=x"+many, "X-Accel-Charset", "utf-8")
		if err != nil || h.ContentType != "text/html"+many {
			t.Fatalf("got %.100q, %v", h.ContentType, err)
		}
	})
	if allocations > 20 {
		t.Errorf("got %v allocations, want at most 20", allocations)
	}
}

func TestAHeadThatWouldBreakTheFramingIsRefused(t *testing.T) {
	for _, c := range []struct {
		status int
		fields []string
		want   string // "": no error
	}{
		{200, []string{"X", "a\tb\x80\xff"}, ""},
		{200, []string{"X", " \t a \t"}, ""},
		{200, []string{"Content-Length", "5", "Content-Length", "5"}, ""},
		{200, []string{"Content-Length", "5", "Content-Length", "6"}, `an invalid or repeated Content-Length "6"`},
		{200, []string{"Content-Length", "-1"}, `an invalid or repeated Content-Length "-1"`},
		{200, []string{"Content-Length", "+1"}, `an invalid or repeated Content-Length "+1"`},
		{200, []string{"Content-Length", ""}, `an invalid or repeated Content-Length ""`},
		{200, []string{"Content-Length", "9223372036854775808"}, `an invalid or repeated Content-Length "9223372036854775808"`},
		{200, []string{"X", "a\r\nB: c"}, `an invalid value "a\r\nB: c" of the header "X"`},
		{200, []string{"X", "a\x00"}, `an invalid value "a\x00" of the header "X"`},
		{200, []string{"Server", "a\x7f"}, `an invalid value "a\x7f" of the header "Server"`},
		{200, []string{"X Y", "a"}, `an invalid header name "X Y"`},
		{200, []string{"", "a"}, `an invalid header name ""`},
		{200, []string{"X\n", "a"}, `an invalid header name "X\n"`},
		{100, nil, "the status 100, which is not one of a final response"},
		{103, nil, "the status 103, which is not one of a final response"},
		{1000, nil, "the status 1000, which is not one of a final response"},
		{0, nil, "the status 0, which is not one of a final response"},
	} {
		_, err := makeHead(c.status, c.fields...)
		if got := fmt.Sprint(err); got != c.want && (c.want != "" || err != nil) {
			t.Errorf("%d %q: %v, want %q", c.status, c.fields, err, c.want)
		}
	}
	if err := new(Head).Begin(200, "a\r\nX: b"); err == nil {
		t.Error("a reason with the end of a line: got nil, want an error")
	}
}

// A Head is used for one response after another.
func TestNothingOfAHeadStaysForTheNext(t *testing.T) {
	h := &Head{}
	for range 2 {
		if err := h.Begin(404, " Gone "); err != nil {
			t.Fatal(err)
		}
		for _, f := range [][2]string{{"X-Hop", "1"}, {"Connection", "x-hop"}, {"Content-Length", "1"}, {"Content-Type", "a/b"}, {"X-Accel-Redirect", "/x"}, {"X-Accel-Charset", "utf-8"}} {
			if err := h.Add(f[0], f[1]); err != nil {
				t.Fatal(err)
			}
		}
		h.End()
		if h.Reason != "Gone" || h.Accel != (Accel{Redirect: "/x", Redirects: true, Charset: "utf-8"}) || describe(h) != "length 1, type a/b" {
			t.Fatalf(`%+v, want "Gone", the redirect with its charset, length 1, type a/b`, h)
		}
	}
	if err := h.Begin(200, ""); err != nil {
		t.Fatal(err)
	}
	if err := h.Add("X-Hop", "1"); err != nil {
		t.Fatal(err)
	}
	h.End()
	if h.Reason != "" || h.Accel != (Accel{}) || describe(h) != "X-Hop: 1" {
		t.Errorf("%+v, want X-Hop: 1 alone", h)
	}
}

func TestXAccelFieldsAreTheServers(t *testing.T) {
	for _, c := range []struct {
		fields []string
		accel  Accel
		want   string
	}{
		{[]string{"X-Accel-Redirect", "/a", "x-accel-buffering", "no", "X-ACCEL-EXPIRES", "1", "X-Accel-Limit-Rate", "1"}, Accel{Redirect: "/a", Redirects: true, Rate: "1"}, ""},
		{[]string{"X-Accel-Redirect", "/a", "X-Accel-Redirect", "/b", "X-Accel-Charset", "c", "X-Accel-Charset", "d"}, Accel{Redirect: "/a", Redirects: true, Charset: "c"}, ""},
		{[]string{"X-Accel-Redirect", "", "X-Accel-Redirect", "/b"}, Accel{Redirects: true}, ""},
		{[]string{"X-Accel-Other", "a", "X-Accel-", "b"}, Accel{}, "X-Accel-Other: a, X-Accel-: b"},
		{[]string{"Content-Type", "text/html; charset=a; x=y", "X-Accel-Charset", "b"}, Accel{Charset: "b"}, "type text/html; x=y"},
		{[]string{"X-Accel-Charset", "off", "Content-Type", "text/html;Charset=a"}, Accel{Charset: "off"}, "type text/html"},
	} {
		h, err := makeHead(200, c.fields...)
		if err != nil {
			t.Fatal(err)
		}
		if got := describe(h); got != c.want || h.Accel != c.accel {
			t.Errorf("%q: %q, %+v; want %q, %+v", c.fields, got, h.Accel, c.want, c.accel)
		}
	}
}

func TestAHeadIsAppliedToAResponse(t *testing.T) {
	for _, c := range []struct {
		method string
		status int
		fields []string
		size   int64
		length int64
	}{
		{"GET", 200, nil, -1, -1},
		{"GET", 200, nil, 5, 5},
		{"GET", 200, []string{"Content-Length", "7"}, 5, 7},
		{"HEAD", 200, nil, 0, -1},
		{"HEAD", 200, []string{"Content-Length", "7"}, 0, 7},
		{"GET", 304, nil, 0, -1},
	} {
		x := proxy.NewExchange(&proxy.Conn{}, proxytest.NewRecorder(""))
		x.Req.Method = c.method
		h, err := makeHead(c.status, append(c.fields, "X-A", "b", "Location", "/")...)
		if err != nil {
			t.Fatal(err)
		}
		h.Apply(x, c.size)
		if x.Res.Status != c.status || x.Res.Length != c.length || x.Res.Header.Value(proxy.FieldLocation) != "/" || x.Res.Header.Get("X-A") != "b" {
			t.Errorf("%s %d %q: status %d, length %d, want %d", c.method, c.status, c.fields, x.Res.Status, x.Res.Length, c.length)
		}
	}
}
