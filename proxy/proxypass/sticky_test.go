package proxypass

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// asked sends a request with fields, and returns the body and the cookies of the answer.
func asked(t *testing.T, s *proxytest.Server, target string, fields ...string) (body, cookie string) {
	t.Helper()
	res, body := ask(t, s, "GET "+target+" HTTP/1.1\r\nHost: site\r\n"+strings.Join(append(fields, ""), "\r\n")+"\r\n")
	return body, cookies(res)
}

func TestACookieBindsAClient(t *testing.T) {
	ps := startPeers(t, 2)
	s := newSite(t, ps.addressed(`upstream named { server P0 route=a; server P1 route=b; sticky cookie id; }
upstream hashed { server P0; server P1; sticky cookie id path=/; }
upstream full { server P0 route=a; server P1 route=b; sticky cookie srv-id expires=1h domain=.$host httponly secure samesite=Lax path=/x; }
upstream forever { server P0 route=a; sticky cookie id expires=max samesite=$arg_s; }
server { listen 127.0.0.1:80; location /n { proxy_pass http://named; } location /h { proxy_pass http://hashed; } location /f { proxy_pass http://full; } location /e { proxy_pass http://forever; } }`))
	for i, route := range []string{"a", "b"} {
		if body, cookie := asked(t, s, "/n"); body != fmt.Sprint(i) || cookie != "id="+route {
			t.Errorf("a request without a cookie: got %q, %q, want %d, id=%s", body, cookie, i, route)
		}
	}
	for range 3 {
		if body, cookie := asked(t, s, "/n", "Cookie: x=y; id=b"); body != "1" || cookie != "id=b" {
			t.Errorf("a request bound to b: got %q, %q, want 1, id=b", body, cookie)
		}
	}
	sid := fmt.Sprintf("%x", md5.Sum([]byte(ps.origins[1].addr)))
	for range 3 {
		if body, cookie := asked(t, s, "/h", "Cookie: id="+sid); body != "1" || cookie != "id="+sid+"; path=/" {
			t.Errorf("a request bound by address: got %q, %q, want 1, id=%s; path=/", body, cookie, sid)
		}
	}
	_, cookie := asked(t, s, "/f", "Cookie: srv-id=a")
	if begin, rest, ok := strings.Cut(cookie, " GMT; "); !ok || !strings.HasPrefix(begin, "srv-id=a; expires=") || rest != "max-age=3600; domain=.site; httponly; secure; samesite=Lax; path=/x" {
		t.Errorf("got %q, want all attributes", cookie)
	}
	for site, want := range map[string]string{"": "", "none": "; samesite=none", "x": "; samesite=strict"} {
		if _, cookie := asked(t, s, "/e?s="+site); cookie != "id=a; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"+want {
			t.Errorf("samesite %q: got %q, want %q at the end", site, cookie, want)
		}
	}
}

// If a peer cannot take a request that is bound to it, another peer gets the request.
func TestAClientWhosePeerFailsIsBoundToAnother(t *testing.T) {
	ps := startPeers(t, 2)
	s := newSite(t, ps.addressed(`upstream u { server `+deadAddress(t)+` route=dead fail_timeout=1h; server P0 route=a; server P1 route=b; sticky cookie id; }
server { listen 127.0.0.1:80; location / { proxy_pass http://u; proxy_next_upstream error http_503; } }`))
	if _, cookie := asked(t, s, "/", "Cookie: id=dead"); cookie != "id=a" && cookie != "id=b" {
		t.Errorf("a request bound to a peer that is down: got %q, want id=a or id=b", cookie)
	}
	if body, cookie := asked(t, s, "/fails/1", "Cookie: id=b"); body != "0" || cookie != "id=a" {
		t.Errorf("a request bound to b, which answers 503: got %q, %q, want 0, id=a", body, cookie)
	}
}

func TestARouteIsTheFirstVariableThatHasOne(t *testing.T) {
	ps := startPeers(t, 3)
	s := newSite(t, ps.addressed(`upstream u { server P0 route=a; server P1 route=b; server P2; sticky route $cookie_r $arg_r; }
server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }`))
	sid := sidOf(ps.origins[2].addr)
	for range 3 {
		for _, c := range []struct{ target, cookie, want string }{{"/?r=b", "", "1"}, {"/?r=b", "a", "0"}, {"/", "b", "1"}, {"/?r=" + sid, "", "2"}} {
			if body, cookie := asked(t, s, c.target, "Cookie: r="+c.cookie); body != c.want || cookie != "" {
				t.Errorf("%+v: got %q, %q, want no cookie", c, body, cookie)
			}
		}
	}
	counts := map[string]int{}
	for range 30 {
		body, _ := asked(t, s, "/?r=other")
		counts[body]++
	}
	if counts["0"] < 8 || counts["1"] < 8 || counts["2"] < 8 {
		t.Errorf("a route that no server has: got %v, want at least 8 for each", counts)
	}
}

// sessionServer sets the cookie session to the argument make.
func sessionServer(number string) func(c *peerConn) {
	return func(c *peerConn) {
		for r, _ := c.request(); r != nil; r, _ = c.request() {
			set := ""
			if id := r.URL.Query().Get("make"); id != "" {
				set = "Set-Cookie: other=x\r\nSet-Cookie: Session=" + id + "; Path=/\r\n"
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", set, len(number), number)
		}
	}
}

func TestSessionsThatServersMakeAreLearnt(t *testing.T) {
	zero, one := startOrigin(t, "tcp", sessionServer("0")), startOrigin(t, "tcp", sessionServer("1"))
	for _, header := range []string{"", "header"} {
		text := `upstream u { server ` + zero.addr + `; server ` + one.addr + `; sticky learn create=$upstream_cookie_session lookup=$cookie_session lookup=$arg_session zone=z:64k ` + header + `; }
server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }`
		s := newSite(t, text)
		made := map[string]string{}
		for i := range 10 {
			id := fmt.Sprint("s", i)
			made[id], _ = asked(t, s, "/?make="+id)
		}
		bound := func() {
			t.Helper()
			for id, want := range made {
				if body, _ := asked(t, s, "/", "Cookie: session="+id); body != want {
					t.Errorf("session %s is of %s, and goes to %s", id, want, body)
				}
				if body, _ := asked(t, s, "/?session="+id); body != want {
					t.Errorf("session %s is of %s, and goes to %s where an argument names it", id, want, body)
				}
			}
		}
		bound()
		if err := s.Reload(strings.Replace(text, "location / {", "location / { proxy_read_timeout 5s;", 1)); err != nil {
			t.Fatal(err)
		}
		bound()
		if err := s.Reload(strings.Replace(text, one.addr, one.addr+" max_fails=5", 1)); err != nil { // another group
			t.Fatal(err)
		}
		bound()
	}
}

func TestMistakesOfSticky(t *testing.T) {
	for text, want := range map[string]string{
		"sticky cookie 'a b';":                                       `sticky: invalid cookie name "a b"`,
		"sticky cookie a expires=x;":                                 `invalid value "x" of "expires"`,
		"sticky cookie a path=/ path=/;":                             `parameter "path" is duplicate`,
		"sticky cookie a domain=;":                                   `invalid value "" of "domain"`,
		"sticky cookie a samesite=some;":                             `invalid value "some" of "samesite"; it is strict, lax, none or a variable`,
		"sticky cookie a httponly=on;":                               `unknown parameter "httponly"`,
		"sticky route a;":                                            `invalid variable name "a"; it must begin with "$"`,
		"sticky route $nosuch;":                                      `unknown variable "$nosuch"`,
		"sticky other a;":                                            `unknown parameter "other"; the first one is cookie, route or learn`,
		"sticky cookie;":                                             `takes at least 2 arguments`,
		"sticky learn lookup=$arg_a zone=z:64k;":                     `"create" parameter is not specified`,
		"sticky learn create=$arg_a zone=z:64k;":                     `"lookup" parameter is not specified`,
		"sticky learn create=$arg_a lookup=$arg_a;":                  `"zone" parameter is not specified`,
		"sticky learn create=$arg_a lookup=$arg_a zone=z;":           `invalid zone "z"; it is zone=NAME:SIZE`,
		"sticky learn create=$arg_a lookup=$arg_a zone=z:1k;":        `zone "z" is too small; it needs at least 32k`,
		"sticky learn create=a lookup=$arg_a zone=z:64k;":            `invalid variable name "a"`,
		"sticky learn create=$arg_a lookup=$arg_a zone=z:64k sync;":  `unknown parameter "sync"`,
		"sticky learn create=$arg_a zone=z:64k timeout=0 lookup=$a;": `invalid timeout "0"`,
		"sticky cookie a; sticky cookie b;":                          `directive "sticky" is duplicate`,
		"sticky learn create=$arg_a lookup=$arg_a zone=z:64k; } upstream v { server 127.0.0.1:1; sticky learn create=$arg_a lookup=$arg_a zone=z:64k;": `sticky zone "z" is already used in upstream "u"`,
		"queue 0;":                                "queue: ",
		"queue 5 timeout=x;":                      "queue: timeout: ",
		"queue 5 timeout=0;":                      "queue: timeout: ",
		"queue 5 x;":                              `queue: invalid parameter "x"; it takes timeout=TIME`,
		"least_time fast;":                        `least_time: invalid value "fast"; it is "header" or "last_byte"`,
		"least_time header x;":                    `least_time: invalid parameter "x"; it takes "inflight"`,
		"random two least_time;":                  `random: invalid parameter "least_time"`,
		"hash $uri; server 127.0.0.1 backup;":     `balancing method does not support parameter "backup"`,
		"random; server 127.0.0.1 slow_start=5s;": `balancing method does not support parameter "slow_start=5s"`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Text: "upstream u { server 127.0.0.1:2; " + text + " } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }", Modules: Modules(Options{})})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s\n %v\nwant %s", text, err, want)
		}
	}
}
