package proxypass

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
	"alicorn/proxy/upstream/upstreamtest"
)

// gatewayProtocol is the origin's side of a gateway's protocol.
type gatewayProtocol struct {
	name string
	// read reads a request; nil at the end of the connection.
	read func(r *bufio.Reader) *gatewayRequest
	// status is what the line with an answer's status begins with.
	status string
	keeps  bool // connections carry several requests
}

// gatewayRequest is a request as an origin has read it.
type gatewayRequest struct {
	params map[string]string
	names  []string // of the parameters, in order
	body   string
}

var gatewayProtocols = []*gatewayProtocol{
	{"uwsgi", readUwsgi, "HTTP/1.1 ", false},
	{"scgi", readSCGI, "Status: ", false},
	{"fastcgi", readFastCGI, "Status: ", true},
}

func (r *gatewayRequest) add(name, value string) {
	r.names = append(r.names, name)
	r.params[name] = value
}

// readBody reads as many bytes as CONTENT_LENGTH says.
func (r *gatewayRequest) readBody(from io.Reader) *gatewayRequest {
	n, _ := strconv.Atoi(r.params["CONTENT_LENGTH"])
	body := make([]byte, n)
	if _, err := io.ReadFull(from, body); err != nil {
		return nil
	}
	r.body = string(body)
	return r
}

func readUwsgi(r *bufio.Reader) *gatewayRequest {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil
	}
	text := make([]byte, binary.LittleEndian.Uint16(head[1:]))
	if _, err := io.ReadFull(r, text); err != nil {
		return nil
	}
	q := &gatewayRequest{params: map[string]string{"modifiers": fmt.Sprint(head[0], head[3])}}
	next := func() string {
		n := binary.LittleEndian.Uint16(text)
		word := string(text[2 : 2+n])
		text = text[2+n:]
		return word
	}
	for len(text) > 0 {
		name := next()
		q.add(name, next())
	}
	return q.readBody(r)
}

func readSCGI(r *bufio.Reader) *gatewayRequest {
	size, err := r.ReadString(':')
	if err != nil {
		return nil
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(size, ":"))
	text := make([]byte, n+1)
	if _, err := io.ReadFull(r, text); err != nil || text[n] != ',' || size[0] == '0' {
		return nil
	}
	q := &gatewayRequest{params: map[string]string{}}
	words := strings.Split(string(text[:n]), "\x00")
	for i := 0; i+1 < len(words); i += 2 {
		q.add(words[i], words[i+1])
	}
	if words[0] != "CONTENT_LENGTH" {
		return nil
	}
	return q.readBody(r)
}

func readFastCGI(r *bufio.Reader) *gatewayRequest {
	q := &gatewayRequest{params: map[string]string{}}
	var params []byte
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil
		}
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:]))+int(head[6]))
		if _, err := io.ReadFull(r, content); err != nil {
			return nil
		}
		content = content[:len(content)-int(head[6])]
		switch {
		case head[1] == 1:
			q.params["flags"] = fmt.Sprint(content[2])
		case head[1] == 4:
			params = append(params, content...)
		case head[1] == 5 && len(content) == 0:
			q.parse(params)
			return q
		case head[1] == 5:
			q.body += string(content)
		}
	}
}

// parse reads the pairs of FastCGI.
func (q *gatewayRequest) parse(text []byte) {
	length := func() int {
		if text[0] < 128 {
			n := int(text[0])
			text = text[1:]
			return n
		}
		n := binary.BigEndian.Uint32(text) &^ (1 << 31)
		text = text[4:]
		return int(n)
	}
	for len(text) > 0 {
		n, v := length(), length()
		q.add(string(text[:n]), string(text[n:n+v]))
		text = text[n+v:]
	}
}

// answer is what an origin says, in the protocol.
func (g *gatewayProtocol) answer(text string) string {
	if g.name != "fastcgi" {
		return text
	}
	return stdoutRecord(text) + stdoutRecord("") + endRecord
}

const endRecord = "\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func stdoutRecord(text string) string { return fastcgiRecord(6, text) }

// fastcgiRecord is text in records of a kind.
func fastcgiRecord(kind byte, text string) string {
	var b strings.Builder
	for first := true; first || len(text) > 0; first = false {
		n := min(len(text), 60_000)
		b.WriteString(string([]byte{1, kind, 0, 1, byte(n >> 8), byte(n), 3, 0}) + text[:n] + "pad")
		text = text[n:]
	}
	return b.String()
}

// gatewayCall is a request that has come by a gateway's protocol.
type gatewayCall struct {
	protocol *gatewayProtocol
	conn     *peerConn
	over     bool // the connection ends
}

func (c *gatewayCall) Peer() int {
	if c.protocol.keeps {
		return c.conn.number
	}
	return 0
}
func (c *gatewayCall) Begin()  {}
func (c *gatewayCall) Refuse() { c.over = true }

// Break resets the connection, because closing it may end an answer.
func (c *gatewayCall) Break() {
	c.over = true
	c.conn.Conn.(*net.TCPConn).SetLinger(0)
}

func (c *gatewayCall) Head(status string, fields ...string) {
	c.write(c.protocol.status + status + "\r\n" + lines(fields) + "\r\n")
}

func (c *gatewayCall) Body(data string) bool { return c.write(data) }

func (c *gatewayCall) write(data string) bool {
	if c.protocol.name == "fastcgi" {
		data = stdoutRecord(data)
	}
	if _, err := io.WriteString(c.conn, data); err != nil {
		c.over = true
	}
	return !c.over
}

func (c *gatewayCall) End() {
	if c.protocol.name == "fastcgi" {
		io.WriteString(c.conn, fastcgiRecord(7, "a complaint\n")+endRecord)
	}
	c.over = c.over || !c.protocol.keeps
}

// Left waits for the end of the connection.
func (c *gatewayCall) Left() {
	if _, err := c.conn.r.ReadByte(); err != nil {
		c.over = true
	}
}

func TestGatewaysConform(t *testing.T) {
	for _, g := range gatewayProtocols {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			upstreamtest.Run(t, func(t *testing.T, script func(c upstreamtest.Call)) *proxytest.Server {
				play := func(conn *peerConn) {
					for c := (&gatewayCall{protocol: g, conn: conn}); !c.over && g.read(conn.r) != nil; {
						script(c)
					}
				}
				one, other := startOrigin(t, "tcp", play), startOrigin(t, "tcp", play)
				keep := ""
				if g.keeps {
					keep = "fastcgi_keep_conn on; "
				}
				return newSite(t, strings.ReplaceAll(fmt.Sprintf(`upstream u { server %s; server %s backup; }
server { listen 127.0.0.1:80; P_buffers 8 4k; P_max_temp_file_size 0; P_param REQUEST_METHOD $request_method; %slocation / { P_pass u; } }`, one.addr, other.addr, keep), "P_", g.name+"_"))
			})
		})
	}
}
