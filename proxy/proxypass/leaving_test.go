package proxypass

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// The client leaves in each state: the connection to the origin ends.
func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(pc *peerConn, ready chan<- bool)
	}{
		{"before the head", func(pc *peerConn, ready chan<- bool) {
			pc.request()
			ready <- true
		}},
		{"within the head", func(pc *peerConn, ready chan<- bool) {
			pc.request()
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nX: y")
			ready <- true
		}},
		{"within a short answer", func(pc *peerConn, ready chan<- bool) {
			pc.request()
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
			ready <- true
		}},
		{"within a stream", func(pc *peerConn, ready chan<- bool) {
			pc.request()
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
			ready <- true
		}},
		{"within a stream that it does not read", func(pc *peerConn, ready chan<- bool) {
			pc.request()
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
			pc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			for {
				if _, err := pc.Write(make([]byte, 100_000)); err != nil {
					break
				}
			}
			pc.SetWriteDeadline(time.Now().Add(patience))
			ready <- true
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ready, ended := make(chan bool, 1), make(chan error, 1)
			o := startOrigin(t, "tcp", func(pc *peerConn) {
				c.script(pc, ready)
				_, err := pc.Read(make([]byte, 1))
				ended <- err
			})
			s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_max_temp_file_size 0; } }")
			nc := s.Dial("")
			fmt.Fprint(nc, get("/"))
			<-ready
			nc.Close()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the origin was sent more")
				}
			case <-time.After(patience):
				t.Errorf("the connection to the origin did not end\n%s", s.Log)
			}
		})
	}
}

func TestAClientThatLeavesIsIgnoredWhereThatIsSaid(t *testing.T) {
	left, answered := make(chan bool), make(chan error, 1)
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		pc.request()
		left <- true
		<-left
		_, err := io.WriteString(pc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		pc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if err == nil {
			if _, err = pc.Read(make([]byte, 1)); err != io.EOF {
				err = nil
			}
		}
		answered <- err
	})
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_ignore_client_abort on; } }")
	nc := s.Dial("")
	fmt.Fprint(nc, get("/"))
	<-left
	nc.Close()
	left <- true
	if err := <-answered; err != nil {
		t.Errorf("the origin was left: %v", err)
	}
}

// A slow reader holds nobody: the origin is through long before its answer has gone out.
func TestASlowClientDoesNotHoldTheOrigin(t *testing.T) {
	const size = 16 << 20
	through := make(chan bool, 1)
	o := startOrigin(t, "unix", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
			block := []byte(strings.Repeat("0123456789abcdef", 4096))
			for range size / len(block) {
				if _, err := pc.Write(block); err != nil {
					return
				}
			}
			through <- true
		}
	})
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; } }")
	nc := s.Dial("")
	nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	<-through
	answer, err := io.ReadAll(nc)
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	if err != nil || len(body) != size || body != strings.Repeat("0123456789abcdef", size/16) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}
