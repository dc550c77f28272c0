//go:build linux

package proxy

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

func listenOf(t *testing.T, text string) (*Listen, error) {
	t.Helper()
	n := &config.Node{Args: []config.Arg{{Text: "127.0.0.1:80"}}}
	for word := range strings.FieldsSeq(text) {
		n.Args = append(n.Args, config.Arg{Text: word})
	}
	return parseListen(nil, n)
}

func TestSocketOptionsOfListen(t *testing.T) {
	for _, c := range []struct {
		text string
		want Tuning
	}{
		{"deferred bind", Tuning{Deferred: true}},
		{"fastopen=256", Tuning{FastOpen: 256}},
		{"rcvbuf=32k sndbuf=1m", Tuning{ReceiveBuffer: 32 << 10, SendBuffer: 1 << 20}},
		{"so_keepalive=on", Tuning{KeepAlive: KeepAlive{Set: true, On: true}}},
		{"so_keepalive=off", Tuning{KeepAlive: KeepAlive{Set: true}}},
		{"so_keepalive=30m::10", Tuning{KeepAlive: KeepAlive{Set: true, On: true, Idle: 30 * time.Minute, Count: 10}}},
		{"so_keepalive=:5", Tuning{KeepAlive: KeepAlive{Set: true, On: true, Every: 5 * time.Second}}},
	} {
		l, err := listenOf(t, c.text)
		if err != nil || l.Tuning != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.text, l, err, c.want)
		}
	}
	for _, text := range []string{
		"so_keepalive", "so_keepalive=", "so_keepalive=yes", "so_keepalive=:::", "so_keepalive=1:2:3:4", "so_keepalive=10h", "so_keepalive=::128",
		"so_keepalive=::-1", "so_keepalive=100ms", "fastopen=-1", "fastopen=x", "fastopen", "rcvbuf=2g", "sndbuf=-1", "sndbuf=", "setfib=0", "accept_filter=x",
	} {
		if _, err := listenOf(t, text); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// A reload changes the options of a socket that it keeps, for connections that it accepts after that.
func TestASocketIsTunedWhileItListens(t *testing.T) {
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	f, err := inner.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := &Listener{Network: "tcp4", file: f}
	options := []socketOption{
		{"so_keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0}, {"idle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 0}, {"count", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 0},
		{"rcvbuf", unix.SOL_SOCKET, unix.SO_RCVBUF, 0}, {"deferred", unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 0}, {"fastopen", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, 0},
	}
	for _, c := range []struct {
		text string
		want [6]int
	}{
		{"deferred so_keepalive=77::3 rcvbuf=32k fastopen=5", [6]int{1, 77, 3, 64 << 10, 1, 5}},
		{"so_keepalive=off rcvbuf=16k", [6]int{0, 77, 3, 32 << 10, 0, 0}},
		{"so_keepalive=on", [6]int{1, 77, 3, 32 << 10, 0, 0}},
	} {
		listen, err := listenOf(t, c.text)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.tune(listen.Tuning); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		var got [6]int
		l.control(func(fd int) {
			for i, o := range options {
				if got[i], err = unix.GetsockoptInt(fd, o.level, o.name); err != nil {
					t.Errorf("%s: %v", o.word, err)
				}
			}
		})
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.text, got, c.want)
		}
	}
}

func TestAddressesAsTheResolverReadsThem(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0.0.0.0", "127.1": "127.0.0.1", "10.1.2": "10.1.0.2", "0x7f000001": "127.0.0.1", "0177.0.0.01": "127.0.0.1", "2130706433": "127.0.0.1",
		"0x7F.0xb": "127.0.0.11", "4294967295": "255.255.255.255",
		"4294967296": "", "256.1": "", "1.2.3.4.5": "", "127.": "", "": "", "0b1": "", "08": "", "+1": "", "1_0": "", "a": "", "0x": "",
	} {
		ip, ok := inetAton(text)
		if ok != (want != "") || ok && ip.String() != want {
			t.Errorf("%q is %v, %v, want %q", text, ip, ok, want)
		}
	}
}
