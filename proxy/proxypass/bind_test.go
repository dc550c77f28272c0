package proxypass

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/proxytest"
)

// sender answers with the address that a connection comes from.
func sender(pc *peerConn) {
	for r, _ := pc.request(); r != nil; r, _ = pc.request() {
		host, _, _ := net.SplitHostPort(pc.RemoteAddr().String())
		fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(host), host)
	}
}

// TestConnectionsAreBoundAsNginxBindsThem has both connect from the same addresses.
func TestConnectionsAreBoundAsNginxBindsThem(t *testing.T) {
	o := startOrigin(t, "tcp", sender)
	theirs, mine := beside(t, "proxy_bind 127.0.0.9; location /1 { proxy_pass http://"+o.addr+"; } location /2 { proxy_pass http://"+o.addr+"; proxy_bind off; } "+
		"location /3 { proxy_pass http://"+o.addr+"; proxy_bind $arg_a; } location /4 { proxy_pass http://"+o.addr+"; proxy_bind 192.0.2.1; }")
	for _, target := range []string{"/1", "/2", "/3?a=127.0.0.2", "/3?a=127.0.0.3", "/3?a=127.0.0.2", "/3", "/3?a=nothing", "/3?a=192.0.2.1", "/4"} {
		if got, want := seen(t, mine(), get(target)), seen(t, theirs(), get(target)); got != want {
			t.Errorf("%s\n ours  %s\n nginx %s", target, got, want)
		}
	}
}

func TestBindingsAreForOneAddress(t *testing.T) {
	ways(t, func(t *testing.T, cfg proxytest.Config) {
		o := startOrigin(t, "tcp", sender)
		cfg.Text = "server { listen 127.0.0.1:80; location / { proxy_pass http://" + o.addr + "; proxy_bind $arg_a; proxy_socket_keepalive on; } }"
		s := site(t, cfg)
		for i, c := range []struct {
			address string
			conns   int
		}{{"127.0.0.2", 1}, {"127.0.0.2", 1}, {"127.0.0.3", 2}, {"127.0.0.2", 2}} {
			if res, body := ask(t, s, get("/?a="+c.address)); res.StatusCode != 200 || body != c.address || o.accepted() != c.conns {
				t.Errorf("request %d: %d from %s by %d connections, want %d", i, res.StatusCode, body, o.accepted(), c.conns)
			}
		}
	})
}

func TestSocketsAreKeptAlive(t *testing.T) {
	b := &bindSettings{keepalive: true}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, b.prepare(fd, "", &unix.SockaddrInet4{}))
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE); on != 1 || err != nil {
		t.Errorf("SO_KEEPALIVE: got %d, %v, want 1", on, err)
	}
}

// An answer is read no faster than proxy_limit_rate says, and comes whole.
func TestAnswersAreReadNoFasterThanTheirLimit(t *testing.T) {
	long := strings.Repeat("0123456789", 12_000)
	for _, network := range []string{"tcp", "tls"} {
		ways(t, func(t *testing.T, cfg proxytest.Config) {
			t.Parallel()
			o := startOrigin(t, network, func(pc *peerConn) {
				for r, _ := pc.request(); r != nil; r, _ = pc.request() {
					fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long)
				}
			})
			cfg.Text = "server { listen 127.0.0.1:80; proxy_pass_header Date; location / { proxy_pass " + o.url + "; proxy_limit_rate $arg_rate; } location /direct { proxy_pass " + o.url + "; proxy_limit_rate 1; proxy_buffering off; } }"
			s := site(t, cfg)
			began := time.Now()
			if res, body := ask(t, s, get("/?rate=50k")); res.StatusCode != 200 || body != long {
				t.Errorf("got %d, %d bytes, want 200, %d bytes", res.StatusCode, len(body), len(long))
			}
			least := 1900 * time.Millisecond
			if cfg.Goroutines { // it reads in blocks
				least = 900 * time.Millisecond
			}
			if took := time.Since(began); took < least {
				t.Errorf("120,000 bytes at 50k per second: got %s, want at least %s", took, least)
			}
			for _, target := range []string{"/", "/?rate=0", "/direct"} {
				if res, body := ask(t, s, get(target)); res.StatusCode != 200 || body != long {
					t.Errorf("%s: got %d, %d bytes, want 200, %d bytes", target, res.StatusCode, len(body), len(long))
				}
			}
		})
	}
}
