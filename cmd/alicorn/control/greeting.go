package control

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
)

// greeting is the first line of each connection to the socket at path. It says whom the
// connection is for. Another server of the same user may follow a link to the socket,
// where proxy_pass leads, and has its clients' bytes for it: no HTTP request begins
// with "to:", whatever a client sends, nor does one of uwsgi, FastCGI or SCGI.
func greeting(path string) string { return "to: " + filepath.Base(path) + "\n" }

// refusal is the answer to who does not mean the socket. It is HTTP, which a server that
// was misled speaks, and ends what a verb says as any error does.
const refusal = `{"error":"this is a control socket, and the request is not for it: a link or a proxy has led here"}`

// Greeted returns a listener whose connections read what follows the greeting of the
// socket at path. One with another beginning is answered with a refusal, and ends.
func Greeted(l net.Listener, path string) net.Listener { return greetedListener{l, greeting(path)} }

type greetedListener struct {
	net.Listener
	greeting string
}

// Accept returns a connection that has not been read yet.
func (l greetedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &greetedConn{Conn: nc, awaited: []byte(l.greeting)}, nil
}

// greetedConn is a connection with a greeting. One goroutine reads it.
type greetedConn struct {
	net.Conn
	awaited []byte // of the greeting
}

// Read reads what follows the greeting; io.EOF where there is none.
func (c *greetedConn) Read(p []byte) (int, error) {
	for len(c.awaited) > 0 {
		begin := make([]byte, len(c.awaited))
		n, err := c.Conn.Read(begin)
		if !bytes.HasPrefix(c.awaited, begin[:n]) {
			fmt.Fprintf(c.Conn, "HTTP/1.1 421 Misdirected Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(refusal), refusal)
			return 0, io.EOF
		}
		if c.awaited = c.awaited[n:]; err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}
