package proxypass

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/rewrite"
)

// groupsOf returns the groups that r holds.
func groupsOf(r *config.Resources) (all []*Group) {
	r.Each(func(_ string, value any) {
		if g, ok := value.(*Group); ok {
			all = append(all, g)
		}
	})
	return all
}

// waitsFor waits until n requests are in the queue of the only group.
func waitsFor(t *testing.T, s *proxytest.Server, n int) {
	t.Helper()
	g := groupsOf(s.Engine.Current().Resources)[0]
	proxytest.Eventually(t, func() bool { return g.Status(time.Now()).Queue == n }, "%d requests do not wait", n)
}

// busy runs a group whose peers are busy with requests that they hold.
func busyGroup(t *testing.T, n int, queue string) (*peers, *proxytest.Server) {
	ps := startPeers(t, n)
	servers := ""
	for i := range n {
		servers += fmt.Sprintf("server P%d max_conns=1; ", i)
	}
	s := newSite(t, ps.addressed("upstream u { "+servers+queue+" } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }"))
	for i := range n {
		hold(t, func() net.Conn { return s.Dial("") }, "/hold")
		proxytest.Eventually(t, func() bool {
			sum := 0
			for _, h := range ps.heldNow() {
				sum += h
			}
			return sum == i+1
		}, "no peer holds request %d", i)
	}
	return ps, s
}

func read(t *testing.T, nc net.Conn) int {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

func TestTheWaitInTheQueueIsAVariable(t *testing.T) {
	ps := startPeers(t, 1)
	s := site(t, proxytest.Config{Modules: []proxy.Module{rewrite.Module()}, Text: ps.addressed("upstream u { server P0 max_conns=1; queue 5 timeout=1ms; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; error_page 502 = /waited; } " +
		"location /waited { return 200 '$upstream_queue_time $upstream_status'; } }")})
	hold(t, func() net.Conn { return s.Dial("") }, "/hold")
	proxytest.Eventually(t, func() bool { return ps.heldNow()[0] == 1 }, "the peer holds no request")
	if _, body := ask(t, s, get("/")); !regexp.MustCompile(`^0\.\d{3} 502$`).MatchString(body) || body == "0.000 502" {
		t.Errorf("a request that has waited in vain: got %q, want its time and 502", body)
	}
	ps.release()
	s = site(t, proxytest.Config{Modules: []proxy.Module{rewrite.Module()}, Text: "server { listen 127.0.0.1:80; location / { proxy_pass http://127.0.0.1:1; error_page 502 = /waited; } location /waited { return 200 '$upstream_queue_time $upstream_status'; } }"})
	if _, body := ask(t, s, get("/")); body != "- 502" {
		t.Errorf("a request that has not waited: got %q, want \"- 502\"", body)
	}
}

func TestRequestsWaitForAPeerInTheirOrder(t *testing.T) {
	for _, peers := range []int{1, 3} {
		ps, s := busyGroup(t, peers, "queue 5;")
		var waiting []net.Conn
		for i := range 5 {
			waiting = append(waiting, hold(t, func() net.Conn { return s.Dial("") }, fmt.Sprintf("/%d", i)))
			waitsFor(t, s, i+1)
		}
		if got := read(t, hold(t, func() net.Conn { return s.Dial("") }, "/")); got != 502 {
			t.Errorf("a full queue: got %d, want 502", got)
		}
		s.Log.Wait(t, "upstream queue is full while connecting to upstream")
		ps.release()
		for i, nc := range waiting {
			if got := read(t, nc); got != 200 {
				t.Errorf("request %d: got %d, want 200", i, got)
			}
		}
		waitsFor(t, s, 0)
		for _, p := range groupsOf(s.Engine.Current().Resources)[0].Status(time.Now()).Peers {
			if p.Active != 0 {
				t.Errorf("got %+v, want no active request", p)
			}
		}
	}
}

func TestARequestDoesNotWaitForever(t *testing.T) {
	_, s := busyGroup(t, 2, "queue 5 timeout=50ms;")
	if got := read(t, hold(t, func() net.Conn { return s.Dial("") }, "/")); got != 502 {
		t.Errorf("got %d, want 502", got)
	}
	s.Log.Wait(t, "upstream queue timed out while connecting to upstream")
	waitsFor(t, s, 0)
}

func TestAClientThatLeavesTheQueueMakesRoom(t *testing.T) {
	ps, s := busyGroup(t, 1, "queue 2;")
	first := hold(t, func() net.Conn { return s.Dial("") }, "/")
	waitsFor(t, s, 1)
	second := hold(t, func() net.Conn { return s.Dial("") }, "/")
	waitsFor(t, s, 2)
	first.Close()
	waitsFor(t, s, 1)
	ps.release()
	if got := read(t, second); got != 200 {
		t.Errorf("got %d, want 200", got)
	}
}

func TestARequestDoesNotWaitForPeersThatCannotBeAsked(t *testing.T) {
	s := newSite(t, "upstream u { server "+deadAddress(t)+" max_conns=1; server 127.0.0.1:1 down; queue 5; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }")
	if got := read(t, hold(t, func() net.Conn { return s.Dial("") }, "/")); got != 502 {
		t.Errorf("got %d, want 502", got)
	}
}

// Status counts for each peer what has happened to it.
func TestTheStatusTellsOfEachPeer(t *testing.T) {
	ps := startPeers(t, 2)
	s := newSite(t, ps.addressed("upstream u { server P0 weight=2 max_conns=1; server P1 drain; server "+deadAddress(t)+" fail_timeout=1h; server 127.0.0.1:1 down; server P1 backup; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }"))
	bodies(t, s.Dial(""), 4, always("/"))
	hold(t, func() net.Conn { return s.Dial("") }, "/hold")
	g := groupsOf(s.Engine.Current().Resources)[0]
	var st GroupStatus
	proxytest.Eventually(t, func() bool { st = g.Status(time.Now()); return st.Peers[0].Active == 1 }, "the request is not counted")
	var states []PeerState
	for _, p := range st.Peers {
		states = append(states, p.State)
	}
	if want := []PeerState{PeerFull, PeerDraining, PeerResting, PeerDown, PeerUp}; !slices.Equal(states, want) {
		t.Errorf("%v, want %v", states, want)
	}
	if p := st.Peers[0]; p.Requests != 5 || p.Failures != 0 || p.Header <= 0 || p.Response < p.Header {
		t.Errorf("got %+v, want 5 requests, no failure, and times", p)
	}
	if p := st.Peers[2]; p.Requests != 1 || p.Failures != 1 || p.Active != 0 || p.Header != 0 {
		t.Errorf("got %+v, want 1 request, 1 failure, none active, and no time", p)
	}
	if p := st.Peers[4]; !p.Backup || p.Requests != 0 {
		t.Errorf("got %+v, want a backup without requests", p)
	}
}

// outcomes answers in each way that the path names.
func outcomes(c *peerConn) {
	for r, _ := c.request(); r != nil; r, _ = c.request() {
		switch r.URL.Path {
		case "/accel":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /local\r\nContent-Length: 2\r\n\r\nok")
		case "/refused":
			io.WriteString(c, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
		case "/error":
			io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")
		case "/close":
			return
		case "/half":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nok")
			return
		case "/junk":
			io.WriteString(c, "what\r\n\r\n")
			return
		case "/hang":
			c.r.ReadByte()
			return
		case "/begun":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nok")
			c.r.ReadByte()
			return
		case "/tunnel":
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nok")
			return
		default:
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 70000, make([]byte, 70000))
		}
	}
}

// A peer is free again however its request ends.
func TestAPeerIsFreeHoweverARequestEnds(t *testing.T) {
	one, other := startOrigin(t, "tcp", outcomes), startOrigin(t, "tcp", outcomes)
	s := newSite(t, "upstream u { least_time header inflight; server "+one.addr+" max_conns=50; server "+other.addr+" max_fails=0 max_conns=50; queue 5; }"+
		"server { listen 127.0.0.1:80; error_page 500 /local; location / { proxy_pass http://u; proxy_next_upstream error http_403; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }"+
		"location = /error { proxy_pass http://u; proxy_intercept_errors on; } location = /local { proxy_pass http://u; } }")
	const upgrade = "Connection: upgrade\r\nUpgrade: x\r\n"
	for range 3 {
		for _, path := range []string{"/", "/accel", "/refused", "/error", "/close", "/half", "/junk", "/hang", "/begun", "/tunnel"} {
			nc := s.Dial("")
			io.WriteString(nc, "GET "+path+" HTTP/1.1\r\nHost: site\r\n"+upgrade+"\r\n")
			switch path {
			case "/hang":
				proxytest.Eventually(t, func() bool { return active(s) > 0 }, "%s is not counted", path)
			case "/begun":
				io.ReadFull(nc, make([]byte, 20))
			default:
				nc.(*net.TCPConn).SetReadDeadline(time.Now().Add(patience))
				if _, err := bufio.NewReader(nc).ReadString('\n'); err != nil {
					t.Errorf("%s: got %v, want a line", path, err)
				}
			}
			nc.Close()
		}
		proxytest.Eventually(t, func() bool { return active(s) == 0 }, "a peer works still")
	}
	for _, m := range groupsOf(s.Engine.Current().Resources)[0].lanes[0].roster.members {
		if m.conns != 0 || m.flying != 0 || m.begun != 0 {
			t.Errorf("got %d requests, %d in flight since %s, want none", m.conns, m.flying, m.begun)
		}
	}
}

// active is how many requests the peers of the only group work on.
func active(s *proxytest.Server) (n int) {
	for _, p := range groupsOf(s.Engine.Current().Resources)[0].Status(time.Now()).Peers {
		n += p.Active
	}
	return n
}

// The log says that a peer rests, as often as nginx's log does.
func TestTheLogTellsOfAPeerThatRests(t *testing.T) {
	ps := startPeers(t, 1)
	dir := proxytest.NginxDir(t)
	groups := ps.addressed("upstream u { server " + deadAddress(t) + " max_fails=2 fail_timeout=1h; server P0; }")
	proxytest.StartNginx(t, dir, "access_log off; "+groups+" server { listen unix:DIR/s; location / { proxy_pass http://u; } }")
	s := newSite(t, groups+" server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }")
	theirs, err := net.Dial("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	bodies(t, theirs, 10, always("/"))
	bodies(t, s.Dial(""), 10, always("/"))
	log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
	for _, line := range []string{"upstream server temporarily disabled while connecting to upstream", "connect() failed (111: Connection refused) while connecting to upstream"} {
		if got, want := strings.Count(s.Log.String(), line), strings.Count(string(log), line); got != want || want == 0 {
			t.Errorf("%q: %d times, nginx %d", line, got, want)
		}
	}
}
