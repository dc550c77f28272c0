package proxypass

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/header"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/realip"
	"alicorn/proxy/rewrite"
)

// peers are origins, each of which answers with its number.
type peers struct {
	origins []*origin
	mu      sync.Mutex
	hold    chan struct{} // requests for /hold wait for its end
	held    []int         // how many requests each holds
}

func startPeers(t testing.TB, n int) *peers {
	ps := &peers{hold: make(chan struct{}), held: make([]int, n)}
	for i := range n {
		ps.origins = append(ps.origins, startOrigin(t, "tcp", func(c *peerConn) { ps.serve(c, i) }))
	}
	t.Cleanup(ps.release)
	return ps
}

func (ps *peers) serve(c *peerConn, i int) {
	for {
		r, _ := c.request()
		if r == nil {
			return
		}
		if r.URL.Path == "/hold" {
			ps.mu.Lock()
			hold := ps.hold
			ps.held[i]++
			ps.mu.Unlock()
			<-hold
		}
		status := "200 OK"
		if r.URL.Path == fmt.Sprintf("/fails/%d", i) {
			status = "503 No"
		}
		text := strconv.Itoa(i)
		fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(text), text)
	}
}

// release answers all requests that are held. Later ones are held again.
func (ps *peers) release() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	close(ps.hold)
	ps.hold = make(chan struct{})
	clear(ps.held)
}

// addressed puts the peers' addresses in place of P0, P1 and so on.
func (ps *peers) addressed(text string) string {
	for i, o := range ps.origins {
		text = strings.ReplaceAll(text, fmt.Sprintf("P%d", i), o.addr)
	}
	return text
}

// groupsBeside starts nginx and this program with the same groups and locations.
func groupsBeside(t *testing.T, groups, locations string) (theirs, mine func() net.Conn) {
	t.Helper()
	dir := proxytest.NginxDir(t)
	locations = "keepalive_requests 1000000; proxy_http_version 1.1; proxy_set_header Connection ''; add_header X-Up $upstream_addr always; " + locations
	proxytest.StartNginx(t, dir, "access_log off; "+groups+" server { listen unix:DIR/s; "+locations+" }")
	s := site(t, proxytest.Config{Text: groups + " server { listen 127.0.0.1:80; " + locations + " }", Modules: []proxy.Module{rewrite.Module(), realip.Module(), header.Module()}})
	theirs = func() net.Conn {
		nc, err := net.Dial("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	return theirs, func() net.Conn { return s.Dial("") }
}

// bodies sends n requests by one connection, and returns the bodies of their answers, or
// their status where that is no 200.
func bodies(t *testing.T, nc net.Conn, n int, request func(i int) string) []string {
	t.Helper()
	r := bufio.NewReader(nc)
	all := make([]string, n)
	for i := range all {
		nc.SetDeadline(time.Now().Add(patience))
		io.WriteString(nc, request(i))
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if all[i] = string(body); res.StatusCode != 200 {
			all[i] = strconv.Itoa(res.StatusCode)
		}
	}
	return all
}

func always(target string) func(int) string {
	return func(int) string { return get(target) }
}

// sameChoices compares the peers of n requests, one by one.
func sameChoices(t *testing.T, theirs, mine func() net.Conn, n int, request func(i int) string) {
	t.Helper()
	want, got := bodies(t, theirs(), n, request), bodies(t, mine(), n, request)
	different := 0
	for i := range want {
		if got[i] != want[i] {
			if different++; different < 5 {
				t.Errorf("request %d, %.60q: peer %s, nginx %s", i, request(i), got[i], want[i])
			}
		}
	}
	if different > 0 {
		t.Errorf("got %d of %d choices that differ from nginx's, want none", different, n)
	}
}

// sameShares compares how many of n requests each peer gets: within a hundredth of all.
func sameShares(t *testing.T, theirs, mine func() net.Conn, n int, request func(i int) string) {
	t.Helper()
	want, got := tally(bodies(t, theirs(), n, request)), tally(bodies(t, mine(), n, request))
	for _, peer := range slices.Compact(slices.Sorted(slices.Values(append(keys(want), keys(got)...)))) {
		if d := got[peer] - want[peer]; d > n/100 || d < -n/100 {
			t.Errorf("peer %s: %d of %d requests, nginx %d", peer, got[peer], n, want[peer])
		}
	}
}

func tally(answers []string) map[string]int {
	counts := map[string]int{}
	for _, a := range answers {
		counts[a]++
	}
	return counts
}

func keys(m map[string]int) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	return all
}

func TestRoundRobinTakesTurnsAsNginxDoes(t *testing.T) {
	for name, servers := range map[string]string{
		"weights": "server P0 weight=5; server P1; server P2;",
		"backup":  "server P0 weight=2; server P1; server P2 backup;",
		"down":    "server P0 down; server P1 weight=3; server P2 weight=2;",
		"dead":    "server P0 weight=5; server DEAD weight=2 fail_timeout=1h; server P1; server P2;",
		"backups": "server DEAD fail_timeout=1h; server P0 backup; server P1 backup weight=2; server P2 backup;",
		"fails":   "server P0 weight=5 max_fails=3 fail_timeout=1h; server P1 weight=2; server P2;",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ps := startPeers(t, 3)
			text := strings.ReplaceAll(ps.addressed(servers), "DEAD", deadAddress(t))
			theirs, mine := groupsBeside(t, "upstream u { "+text+" }", "proxy_next_upstream error http_503; location / { proxy_pass http://u; }")
			sameChoices(t, theirs, mine, 3000, func(i int) string {
				if name == "fails" && i%7 == 3 {
					return get("/fails/0")
				}
				return get("/")
			})
		})
	}
}

func TestSharesAreThoseOfNginx(t *testing.T) {
	ps := startPeers(t, 3)
	theirs, mine := groupsBeside(t, ps.addressed("upstream u { server P0 weight=5; server P1; server P2; } upstream r { random; server P0 weight=5; server P1; server P2; }"),
		"location / { proxy_pass http://u; } location /r { proxy_pass http://r; }")
	sameShares(t, theirs, mine, 4000, always("/"))
	// Both draw lots: no share is further than five standard deviations from its weight's.
	for name, dial := range map[string]func() net.Conn{"nginx": theirs, "ours": mine} {
		got := tally(bodies(t, dial(), 10_000, always("/r")))
		for peer, want := range map[string]int{"0": 7143, "1": 1429, "2": 1429} {
			if most := int(5 * math.Sqrt(float64(want)*(1-float64(want)/10_000))); got[peer] < want-most || got[peer] > want+most {
				t.Errorf("%s: peer %s had %d of 10000 requests, want %d, %d more or less", name, peer, got[peer], want, most)
			}
		}
	}
}

// A key has the same peer as with nginx, also if a peer is down or has failed.
func TestHashesChooseThePeersThatNginxChooses(t *testing.T) {
	for name, servers := range map[string]string{
		"equal":    "server P0; server P1; server P2; server P3;",
		"weights":  "server P0 weight=5; server P1; server P2 weight=2; server P3;",
		"down":     "server P0; server P1 down; server P2 weight=3; server P3;",
		"dead":     "server P0 weight=2; server DEAD fail_timeout=1h; server P1; server P2; server P3;",
		"two":      "server P0; server P1;",
		"one left": "server P0 down; server P1 down weight=100; server P2 down weight=90; server P3;",
		"single":   "server P2;",
	} {
		for _, method := range []string{"ip_hash;", "hash $arg_k;", "hash $arg_k consistent;", "hash x$arg_k-$arg_l;"} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				ps := startPeers(t, 4)
				text := strings.ReplaceAll(ps.addressed(servers), "DEAD", deadAddress(t))
				theirs, mine := groupsBeside(t, "upstream u { "+method+" "+text+" }",
					"set_real_ip_from unix:; set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-IP; location / { proxy_pass http://u; }")
				sameChoices(t, theirs, mine, 1000, func(i int) string {
					ip := fmt.Sprintf("10.%d.%d.1", i%250, i/7)
					if i%3 == 0 {
						ip = fmt.Sprintf("2001:db8::%x:%x", i, i*31)
					}
					return fmt.Sprintf("GET /?k=%d&l=y%d HTTP/1.1\r\nHost: site\r\nX-Real-IP: %s\r\n\r\n", i*i, i%11, ip)
				})
				if method != "ip_hash;" { // no key
					sameChoices(t, theirs, mine, 20, always("/"))
				}
			})
		}
	}
}

// The points of a ring are made from names, not addresses, and from the path of a socket.
func TestARingIsMadeOfServersAsTheyAreWritten(t *testing.T) {
	one, other, third := startOrigin(t, "unix", says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0")), startOrigin(t, "unix", says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")), startPeers(t, 3)
	_, port, _ := net.SplitHostPort(third.origins[2].addr)
	theirs, mine := groupsBeside(t, "upstream u { hash $arg_k consistent; server "+one.addr+" weight=2; server "+other.addr+"; server localhost:"+port+"; }", "location / { proxy_pass http://u; }")
	sameChoices(t, theirs, mine, 500, func(i int) string { return get(fmt.Sprintf("/?k=%d", i)) })
}

// Without one of four servers only its own keys move.
func TestAConsistentHashMovesTheKeysOfAServerThatIsGoneAlone(t *testing.T) {
	ps := startPeers(t, 4)
	s := newSite(t, ps.addressed("upstream a { hash $arg_k consistent; server P0; server P1; server P2; server P3; } upstream b { hash $arg_k consistent; server P0; server P1; server P2; }")+
		" server { listen 127.0.0.1:80; keepalive_requests 100000; location /a { proxy_pass http://a; } location /b { proxy_pass http://b; } }")
	key := func(target string) func(i int) string {
		return func(i int) string { return get(fmt.Sprintf("%s?k=%d", target, i)) }
	}
	before, after := bodies(t, s.Dial(""), 2000, key("/a")), bodies(t, s.Dial(""), 2000, key("/b"))
	moved := 0
	for i := range before {
		switch {
		case before[i] == after[i]:
		case before[i] == "3":
			moved++
		default:
			t.Errorf("key %d: got %s, want %s as before, or the new server", i, after[i], before[i])
		}
	}
	if moved < 300 || moved > 700 {
		t.Errorf("server 3: got %d of 2000 keys, want 300 to 700", moved)
	}
}

// hold sends a request that its peer holds.
func hold(t *testing.T, dial func() net.Conn, target string) net.Conn {
	t.Helper()
	nc := dial()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, get(target))
	return nc
}

// Requests at once go to the peers that nginx sends them to.
func TestRequestsAtOnceAreSharedAsNginxDoes(t *testing.T) {
	for name, servers := range map[string]string{
		"max_conns":            "server P0 weight=5 max_conns=2; server P1 max_conns=1; server P2;",
		"max_conns and backup": "server P0 max_conns=2; server P1 max_conns=3; server P2 backup;",
		"least_conn":           "least_conn; server P0 weight=3; server P1; server P2;",
		"least_conn limited":   "least_conn; server P0 weight=3 max_conns=2; server P1; server P2 backup;",
		"hash":                 "hash $uri; server P0 max_conns=1; server P1 max_conns=1; server P2 max_conns=1;",
		"ring":                 "hash $uri consistent; server P0 max_conns=2; server P1 max_conns=1; server P2 max_conns=1;",
		"ip_hash":              "ip_hash; server P0 max_conns=2; server P1 max_conns=1; server P2 max_conns=1;",
		"random two":           "random two; server P0 max_conns=2; server P1 max_conns=2; server P2 max_conns=3;",
		"single":               "server P0 max_conns=2;",
		"zone":                 "zone z 64k; server P0 weight=5 max_conns=2; server P1 max_conns=1; server P2;",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ps := startPeers(t, 3)
			theirs, mine := groupsBeside(t, "upstream u { "+ps.addressed(servers)+" }", "location / { proxy_pass http://u; }")
			run := func(dial func() net.Conn) (held []int, refused string) {
				for n := 1; n <= 7; n++ {
					nc := hold(t, dial, "/hold")
					answered := make(chan string, 1)
					go func() {
						res, err := http.ReadResponse(bufio.NewReader(nc), nil)
						if err == nil {
							answered <- fmt.Sprint(res.StatusCode, " ", res.Header.Get("X-Up"))
						}
					}()
					if !ps.holds(n, answered) {
						refused = <-answered
						break
					}
				}
				held = ps.heldNow()
				ps.release()
				return held, refused
			}
			want, wantRefused := run(theirs)
			got, gotRefused := run(mine)
			if !slices.Equal(got, want) || gotRefused != wantRefused {
				t.Errorf("the peers hold %v, then %q; nginx %v, then %q", got, gotRefused, want, wantRefused)
			}
		})
	}
}

func (ps *peers) heldNow() []int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return slices.Clone(ps.held)
}

// holds waits until the peers hold n requests. It returns false if one was answered.
func (ps *peers) holds(n int, answered chan string) bool {
	for {
		sum := 0
		for _, h := range ps.heldNow() {
			sum += h
		}
		if sum >= n {
			return true
		}
		select {
		case a := <-answered:
			answered <- a
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

// A peer that has failed gets its share again once fail_timeout is over.
func TestAPeerThatComesBackGetsItsShareAgain(t *testing.T) {
	ps := startPeers(t, 2)
	addr := deadAddress(t)
	theirs, mine := groupsBeside(t, ps.addressed("upstream u { server "+addr+" weight=5 fail_timeout=1s; server P0; server P1; }"), "location / { proxy_pass http://u; }")
	for _, dial := range []func() net.Conn{theirs, mine} {
		if got := tally(bodies(t, dial(), 50, always("/"))); got["0"] < 20 || got["1"] < 20 {
			t.Fatalf("without the peer: got %v, want at least 20 for each", got)
		}
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	serveOrigin(t, l, "http", says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback"))
	for _, dial := range []func() net.Conn{theirs, mine} {
		proxytest.Eventually(t, func() bool { return tally(bodies(t, dial(), 10, always("/")))["back"] >= 7 }, "the peer does not come back")
	}
	sameShares(t, theirs, mine, 4000, always("/"))
}

// accepts reports whether nginx accepts a configuration, and what it says.
func accepts(t *testing.T, http string) (bool, string) {
	dir := proxytest.NginxDir(t)
	file := filepath.Join(dir, "nginx.conf")
	os.WriteFile(file, []byte("pid "+dir+"/pid; error_log "+dir+"/e; events { } http { "+http+" }"), 0o644)
	out, err := exec.Command("nginx", "-t", "-q", "-p", dir, "-c", file, "-e", "stderr").CombinedOutput()
	return err == nil, string(out)
}

func TestBlocksAreAcceptedOrNotAsByNginx(t *testing.T) {
	for _, block := range []string{
		"ip_hash; server 127.0.0.1:1 backup; server 127.0.0.1:2;",
		"hash $uri; server 127.0.0.1:1 backup; server 127.0.0.1:2;",
		"hash $uri consistent; server 127.0.0.1:2; server 127.0.0.1:1 backup;",
		"random; server 127.0.0.1:2; server 127.0.0.1:1 backup;",
		"least_conn; server 127.0.0.1:2; server 127.0.0.1:1 backup;",
		"server 127.0.0.1:1 backup; server 127.0.0.1:2; ip_hash;",
		"server 127.0.0.1:1 backup; server 127.0.0.1:2; hash $uri;",
		"ip_hash; hash $uri; server 127.0.0.1:2;",
		"ip_hash; ip_hash; server 127.0.0.1:2;",
		"least_conn; random two; server 127.0.0.1:2;",
		"hash; server 127.0.0.1:2;",
		"hash $uri inconsistent; server 127.0.0.1:2;",
		"hash $uri consistent x; server 127.0.0.1:2;",
		"hash $nosuchvariable; server 127.0.0.1:2;",
		"random three; server 127.0.0.1:2;",
		"random two least_conn; server 127.0.0.1:2;",
		"random two most_conn; server 127.0.0.1:2;",
		"random two least_conn x; server 127.0.0.1:2;",
		"ip_hash on; server 127.0.0.1:2;",
		"least_conn on; server 127.0.0.1:2;",
		"server 127.0.0.1:2 max_conns=5;",
		"server 127.0.0.1:2 max_conns=x;",
		"server 127.0.0.1:2 max_conns=-1;",
		"server 127.0.0.1:2 max_conns=0;",
		"server 127.0.0.1:2 weight=0;",
		"server 127.0.0.1:2 weight=2 weight=3;",
		"server 127.0.0.1:2 fail_timeout=x;",
		"zone z 64k; server 127.0.0.1:2;",
		"zone z; server 127.0.0.1:2;",
		"zone z 1k; server 127.0.0.1:2;",
		"zone z x; server 127.0.0.1:2;",
		"zone '' 64k; server 127.0.0.1:2;",
		"zone z 64k; server 127.0.0.1:2; } upstream v { zone z; server 127.0.0.1:2;",
		"zone z; server 127.0.0.1:2; } upstream v { zone z 64k; server 127.0.0.1:2;",
		"zone z 64k; server 127.0.0.1:2; } upstream v { zone z 128k; server 127.0.0.1:2;",
		"keepalive 5; keepalive 6; server 127.0.0.1:2;",
		"ip_hash;",
		"hash $uri; server 127.0.0.1:2 down;",
	} {
		theirs, said := accepts(t, "upstream u { "+block+" } server { listen 127.0.0.1:1; location / { proxy_pass http://u; } }")
		warnings, err := proxytest.Check(t, proxytest.Config{Text: "upstream u { " + block + " } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }", Modules: Modules(Options{})})
		if (err == nil) != theirs {
			t.Errorf("%s\n got %v\nwant as nginx: %s", block, err, said)
		}
		redefined := false
		for _, w := range warnings {
			redefined = redefined || strings.HasPrefix(w.Msg, "load balancing method redefined")
		}
		if redefined != strings.Contains(said, "load balancing method redefined") {
			t.Errorf("%s\n got %v\nwant as nginx: %s", block, warnings, said)
		}
	}
}
