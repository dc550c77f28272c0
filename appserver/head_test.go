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
