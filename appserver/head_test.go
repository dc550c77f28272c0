package appserver

import (
	"fmt"
	"strings"
	"testing"
)

func TestFieldsOfTheConnectionAreLeftOutOfAHead(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{[]string{"Connection", "keep-alive", "X-A", "b"}, "X-A: b"},
		{[]string{"KEEP-ALIVE", "timeout=5", "te", "trailers", "Upgrade", "h2c", "Transfer-Encoding", "chunked"}, ""},
		{[]string{"Trailer", "X", "trailers", "X", "Proxy-Connection", "close"}, ""},
		{[]string{"proxy-authenticate", "Basic", "Proxy-Authorization", "x"}, ""},
		{[]string{"X-Hop", "1", "Connection", "close, x-hop,,", "X-A", "b"}, "X-A: b"},
		{[]string{"Connection", "close", "Connection", "\tX-HOP ", "x-hop", "1"}, ""},
		{[]string{"Connection", "server", "Server", "x"}, ""},
		{[]string{"Content-Length", "1", "Connection", "Content-Length"}, "length 1"},
		{[]string{"Content-Type", "a/b", "Connection", "x"}, "type a/b"},
	} {
		h, err := parseHead(string(sizedHead("200 OK", c.fields...)[4:]))
		if err != nil {
			t.Errorf("%q: %s", c.fields, err)
			continue
		}
		var got []string
		for _, f := range h.fields {
			got = append(got, f.name+": "+f.value)
		}
		if h.length >= 0 {
			got = append(got, fmt.Sprint("length ", h.length))
		}
		if h.contentType != "" {
			got = append(got, "type "+h.contentType)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%q: got %q, want %q", c.fields, s, c.want)
		}
	}
}

func TestAStatusKeepsItsReason(t *testing.T) {
	for _, c := range []struct {
		status, reason string
		code           int // 0: an error
	}{
		{"200 OK", "OK", 200},
		{"302 Found", "Found", 302},
		{"299 Wild  One ", "Wild  One", 299},
		{"404", "", 404},
		{"404 ", "", 404},
		{"200 \u00e9t\u00e9", "\xe9t\xe9", 200},
		{"200 a\r\nX: b", "", 0},
		{"200 \u0394", "", 0},
		{"200 \x00", "", 0},
		{"100 Continue", "", 0},
		{"2000 OK", "", 0},
		{"", "", 0},
	} {
		code, reason, err := parseStatus([]byte(c.status))
		if code != c.code || reason != c.reason || (err != nil) != (c.code == 0) {
			t.Errorf("%q: %d %q, %v; want %d %q", c.status, code, reason, err, c.code, c.reason)
		}
	}
}
