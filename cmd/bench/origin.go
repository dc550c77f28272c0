package main

import (
	"bytes"
	"fmt"
	"net"
	"sync"
)

// origin is an HTTP/1.1 server in this process, which has nothing else to do while
// wrk drives a server. It answers GETs from memory: "/10k" with tenKiB, all else with
// helloText. It keeps connections unless it is asked not to, and does not check what it
// receives.
type origin struct {
	listener   net.Listener
	hello, ten []byte // whole responses
	wg         sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// originHead bounds a request's head, in bytes.
const originHead = 8 << 10

// newOrigin starts an origin, which serves until close.
func newOrigin(network, address string) (*origin, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	response := func(body []byte) []byte {
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(body))
		return append([]byte(head), body...)
	}
	o := &origin{listener: l, hello: response([]byte(helloText)), ten: response(tenKiB()), conns: map[net.Conn]bool{}}
	o.wg.Go(o.accept)
	return o, nil
}

func (o *origin) accept() {
	for {
		conn, err := o.listener.Accept()
		if err != nil {
			return
		}
		if !o.keep(conn) {
			conn.Close()
			return
		}
		o.wg.Go(func() {
			o.serve(conn)
			o.drop(conn)
		})
	}
}

// keep adds conn to those that close ends. It returns false if close was called.
func (o *origin) keep(conn net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.conns[conn] = true
	}
	return !o.closed
}

func (o *origin) drop(conn net.Conn) {
	o.mu.Lock()
	delete(o.conns, conn)
	o.mu.Unlock()
	conn.Close()
}

// serve answers the requests of a connection.
func (o *origin) serve(conn net.Conn) {
	buf := make([]byte, originHead)
	held := 0
	for held < len(buf) {
		n, err := conn.Read(buf[held:])
		if err != nil {
			return
		}
		held += n
		for {
			end := bytes.Index(buf[:held], []byte("\r\n\r\n"))
			if end < 0 {
				break
			}
			head := buf[:end+4]
			if _, err := conn.Write(o.answer(head)); err != nil || asksToClose(head) {
				return
			}
			held = copy(buf, buf[end+4:held])
		}
	}
}

func (o *origin) answer(head []byte) []byte {
	if bytes.HasPrefix(head, []byte("GET /10k ")) {
		return o.ten
	}
	return o.hello
}

// asksToClose reports whether a head asks for the end of its connection, in the spelling
// of the servers measured.
func asksToClose(head []byte) bool {
	return bytes.Contains(head, []byte("\r\nConnection: close\r\n")) || bytes.Contains(head, []byte(" HTTP/1.0\r\n"))
}

// close ends the origin and its connections, and waits for its goroutines.
func (o *origin) close() error {
	o.mu.Lock()
	o.closed = true
	err := o.listener.Close()
	for conn := range o.conns {
		conn.Close()
	}
	o.mu.Unlock()
	o.wg.Wait()
	return err
}
