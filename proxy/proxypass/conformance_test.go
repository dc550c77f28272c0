package proxypass

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/proxy/upstream/upstreamtest"
)

func TestHTTPConforms(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			upstreamtest.Run(t, func(t *testing.T, script func(c upstreamtest.Call)) *proxytest.Server {
				play := func(c *peerConn) { playCalls(c, script) }
				one, other := startOrigin(t, network, play), startOrigin(t, network, play)
				return newSite(t, fmt.Sprintf(`upstream u { server %s; server %s backup; }
server { listen 127.0.0.1:80; proxy_buffers 8 4k; proxy_max_temp_file_size 0; location / { proxy_pass %s://u; } }`, one.addr, other.addr, strings.TrimSuffix(one.url, "://"+one.addr)))
			})
		})
	}
}

// playCalls runs script for each request of a connection.
func playCalls(conn *peerConn, script func(c upstreamtest.Call)) {
	c := &httpCall{conn: conn}
	for !c.over {
		r, _ := conn.request()
		if r == nil {
			return
		}
		c.method, c.chunked = r.Method, false
		script(c)
	}
}

// httpCall is a request that has come by a connection.
type httpCall struct {
	conn    *peerConn
	method  string
	chunked bool
	over    bool // the connection ends
}

func (c *httpCall) Peer() int { return c.conn.number }
func (c *httpCall) Refuse()   { c.over = true }
func (c *httpCall) Break()    { c.over = true }
func (c *httpCall) Begin()    {}

func (c *httpCall) Interim(status string, fields ...string) {
	c.write("HTTP/1.1 " + status + "\r\n" + lines(fields) + "\r\n")
}

// EndWith sends the trailer of a chunked answer.
func (c *httpCall) EndWith(fields ...string) { c.write("0\r\n" + lines(fields) + "\r\n") }

// lines are fields, name and value in turn.
func lines(fields []string) string {
	var b strings.Builder
	for i := 0; i < len(fields); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", fields[i], fields[i+1])
	}
	return b.String()
}

func (c *httpCall) Head(status string, fields ...string) {
	c.chunked = c.method != "HEAD" && !strings.HasPrefix(status, "204") && !strings.HasPrefix(status, "304")
	c.chunked = c.chunked && !slices.Contains(fields, "Content-Length")
	if c.chunked {
		fields = append(fields[:len(fields):len(fields)], "Transfer-Encoding", "chunked")
	}
	c.write("HTTP/1.1 " + status + "\r\n" + lines(fields) + "\r\n")
}

func (c *httpCall) Body(data string) bool {
	if c.chunked {
		data = fmt.Sprintf("%x\r\n%s\r\n", len(data), data)
	}
	return c.write(data)
}

func (c *httpCall) End() {
	if c.chunked {
		c.write("0\r\n\r\n")
	}
}

// Left waits for the end of the connection.
func (c *httpCall) Left() {
	if _, err := c.conn.r.ReadByte(); err != nil {
		c.over = true
	}
}

func (c *httpCall) write(text string) bool {
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.over = true
	}
	return !c.over
}

// The origin and the client see the same where each phase waits.
func TestHTTPConformsWhereEachPhaseWaits(t *testing.T) {
	proxytest.RunPausing(t, "TestHTTPConforms/unix|TestAClientThatLeavesEndsItsRequest", "Waits")
}
