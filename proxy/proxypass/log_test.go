package proxypass

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/http1"
	"alicorn/proxy/proxytest"
	"alicorn/proxy/upstream"
)

// reasonOf is what a log says of a failure, and of the upstream.
var reasonOf = regexp.MustCompile(`(?m)((?:connect\(\)|recv\(\)|upstream|no live) [^,]*),.*(request: .*)$`)

// TestFailuresAreLoggedAsNginxLogsThem has both fail with the same origins.
func TestFailuresAreLoggedAsNginxLogsThem(t *testing.T) {
	silent := startOrigin(t, "unix", func(pc *peerConn) { pc.request(); pc.request() })
	closing := startOrigin(t, "tcp", func(pc *peerConn) { pc.request() })
	pausing := startOrigin(t, "tcp", func(pc *peerConn) {
		pc.request()
		io.WriteString(pc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		pc.request()
	})
	for _, c := range []struct{ name, pass string }{
		{"nobody listens", "proxy_pass http://127.0.0.1:1/u/;"},
		{"no answer", "proxy_pass http://" + closing.addr + "/u/;"},
		{"silence", "proxy_pass http://" + silent.addr + ":/u/; proxy_read_timeout 100ms;"},
		{"silence behind the head", "proxy_pass http://" + pausing.addr + "/u/; proxy_read_timeout 1s; proxy_http_version 1.1;"},
		{"no live server", "proxy_pass http://down/u/;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := proxytest.NginxDir(t)
			block, text := "upstream down { server 127.0.0.1:1 down; }", "location /x/ { "+c.pass+" }"
			proxytest.StartNginx(t, dir, "access_log off; "+block+" server { listen unix:DIR/s; server_name s; "+text+" }")
			s := newSite(t, block+" server { listen 127.0.0.1:80; server_name s; "+text+" }")
			askSocket(t, filepath.Join(dir, "s"), "/x/a%20b?c")
			ask(t, s, get("/x/a%20b?c"))
			var theirs []string
			proxytest.Eventually(t, func() bool {
				b, _ := os.ReadFile(filepath.Join(dir, "error.log"))
				theirs = reasonOf.FindStringSubmatch(string(b))
				return theirs != nil
			}, "nginx logs nothing")
			if mine := reasonOf.FindStringSubmatch(s.Log.String()); mine == nil || mine[1] != theirs[1] || mine[2] != theirs[2] {
				t.Errorf(" got %q\nwant %q, as nginx\n%s", mine, theirs, s.Log)
			}
		})
	}
}

// TestTheLogNamesTheServerOfALaterFailure has requests fail after a server was asked: the
// line names the one that was asked last, as in nginx.
func TestTheLogNamesTheServerOfALaterFailure(t *testing.T) {
	asked := make(chan bool, 2)
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		r, _ := pc.request()
		asked <- true
		if r.URL.Path == "/away" {
			io.Copy(io.Discard, pc)
			return
		}
		io.WriteString(pc, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: "+r.URL.RawQuery+"\r\nContent-Length: 100000\r\n\r\nok")
	})
	s := newSite(t, "upstream u { server 127.0.0.1:1; server "+o.addr+"; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } location /files/ { } }")
	for _, c := range []struct{ target, want string }{
		{"/away", "info: client prematurely closed connection, so upstream connection is closed too while reading response header from upstream, "},
		{"/on?@none", `error: could not find named location "@none", `},
		{"/on?/a%", "error: "},
	} {
		nc := s.Dial("")
		io.WriteString(nc, get(c.target))
		<-asked
		if c.target != "/away" {
			http.ReadResponse(bufio.NewReader(nc), nil)
		}
		nc.Close()
		line := regexp.MustCompile(`(?m)` + regexp.QuoteMeta(c.want) + `.*, request: "GET ` + regexp.QuoteMeta(c.target) + ` HTTP/1.1", upstream: "` + regexp.QuoteMeta(o.url+c.target) + `"`)
		proxytest.Eventually(t, func() bool { return line.MatchString(s.Log.String()) }, "%s: the log has no line %s:\n%s", c.target, line, s.Log)
	}
}

// TestABodyWithAnAnswerToHEADIsLogged has origins send one: a gateway's is discarded.
func TestABodyWithAnAnswerToHEADIsLogged(t *testing.T) {
	o := startOrigin(t, "tcp", says("HTTP/1.1 200 OK\r\n\r\nok"))
	g := startOrigin(t, "tcp", func(pc *peerConn) {
		readUwsgi(pc.r)
		io.WriteString(pc, "Status: 200 OK\r\n\r\nok")
	})
	for _, c := range []struct{ pass, want string }{
		{"proxy_pass http://" + o.addr, "info: upstream sent a body with its answer to HEAD while reading upstream, "},
		{"uwsgi_pass " + g.addr, ""},
	} {
		s := newSite(t, "server { listen 127.0.0.1:80; location / { "+c.pass+"; } }")
		if res, _ := ask(t, s, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"); res.StatusCode != 200 {
			t.Errorf("%s: %s, want 200", c.pass, res.Status)
		}
		if log := s.Log.String(); c.want == "" && worst(log) != "" || !strings.Contains(log, c.want) {
			t.Errorf("%s: the log has\n%s\nwant %q", c.pass, log, c.want)
		}
	}
}

// TestAnAnswerThatBreaksOffDoesNotCountAgainstItsServer has one of two servers break off
// what the client has the head of: it is asked again in its turn, as in nginx.
func TestAnAnswerThatBreaksOffDoesNotCountAgainstItsServer(t *testing.T) {
	ways(t, func(t *testing.T, c proxytest.Config) {
		bad := startOrigin(t, "tcp", func(pc *peerConn) {
			pc.request()
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		})
		good := startOrigin(t, "tcp", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"))
		c.Text = "upstream u { zone z 64k; server " + bad.addr + "; server " + good.addr + "; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }"
		s := site(t, c)
		for range 6 {
			ask(t, s, get("/"))
		}
		if n := bad.accepted(); n != 3 || strings.Contains(s.Log.String(), "temporarily disabled") {
			t.Errorf("it got %d of 6 requests, want 3:\n%s", n, s.Log)
		}
	})
}

// TestSurplusIsLoggedAsNginxLogsIt has both pass on answers behind which more comes. Neither
// uses the connection again.
func TestSurplusIsLoggedAsNginxLogsIt(t *testing.T) {
	answers := []string{
		"200 OK\r\nContent-Length: 2\r\n\r\nokmore",
		"200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
		"200 OK\r\nContent-Length: 0\r\n\r\nmore",
		"204 No\r\n\r\nmore",
		"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore",
	}
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			answer := answers[r.URL.Path[1]-'0']
			io.WriteString(pc, "HTTP/1.1 "+strings.Replace(answer, "\r\n", fmt.Sprintf("\r\nX-Conn: %d\r\n", pc.number), 1))
		}
	})
	block, text := "upstream u { server "+o.addr+"; keepalive 4; }", "location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header X-A b; }"
	for i, answer := range answers {
		dir := proxytest.NginxDir(t)
		proxytest.StartNginx(t, dir, "access_log off; "+block+" server { listen unix:DIR/s; server_name s; error_log DIR/warnings info; "+text+" }")
		s := newSite(t, block+"server { listen 127.0.0.1:80; server_name s; "+text+" }")
		target := fmt.Sprintf("/%d", i)
		askSocket(t, filepath.Join(dir, "s"), target)
		var theirs []string
		proxytest.Eventually(t, func() bool {
			b, _ := os.ReadFile(filepath.Join(dir, "warnings"))
			theirs = reasonOf.FindStringSubmatch(string(b))
			return theirs != nil
		}, "nginx logs nothing")
		used := map[string]bool{}
		for range 3 {
			res, _ := ask(t, s, get(target))
			used[res.Header.Get("X-Conn")] = true
		}
		mine := reasonOf.FindStringSubmatch(s.Log.String())
		if mine == nil || mine[1] != theirs[1] || mine[2] != theirs[2] || len(used) != 3 {
			t.Errorf("%.100q, by the connections %v:\n got %q\nwant %q, as nginx", answer, used, mine, theirs)
		}
	}
}

func TestSurplusBehindAStreamEndsItsConnection(t *testing.T) {
	begun := make(chan struct{})
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			fmt.Fprintf(pc, "HTTP/1.1 200 OK\r\nX-Conn: %d\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", pc.number)
			<-begun
			io.WriteString(pc, "0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
		}
	})
	s := newSite(t, "upstream u { server "+o.addr+"; keepalive 4; } server { listen 127.0.0.1:80; location / { proxy_pass http://u; } }")
	nc := s.Dial("")
	r := bufio.NewReader(nc)
	for i := range 3 {
		io.WriteString(nc, get("/"))
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, 2)
		io.ReadFull(res.Body, begin)
		begun <- struct{}{}
		if rest, err := io.ReadAll(res.Body); string(begin) != "ok" || len(rest) > 0 || err != nil || res.Header.Get("X-Conn") != fmt.Sprint(i) {
			t.Errorf(`request %d, by connection %s: %q, %q, %v; want "ok", nothing and %s`, i, res.Header.Get("X-Conn"), begin, rest, err, fmt.Sprint(i))
		}
	}
	s.Log.Wait(t, "warn: upstream sent data after final chunk while reading upstream")
}

// logging is a feature that logs a text with variables in the log phase.
func logging() proxy.Module {
	k := config.NewKey(func() *proxy.Template { return nil })
	return proxy.Module{
		Name: "says", Settings: k,
		Directives: []config.Directive{{Name: "says", In: config.AnyLevel, Args: config.OneArg, Help: "Logs a text.",
			Set: proxy.SetTemplate(k, func(c **proxy.Template) **proxy.Template { return c })}},
		Compile: func(s *config.Scope, l *proxy.Location) error {
			text := *k.In(s)
			l.OnLog(func(x *proxy.Exchange) { x.Log(proxy.LevelInfo, "[%s]", text.String(x)) })
			return nil
		},
	}
}

func TestVariablesOfTheUpstream(t *testing.T) {
	busy := startOrigin(t, "tcp", says("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"))
	good := startOrigin(t, "unix", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			io.WriteString(pc, "HTTP/1.1 200 OK\r\nX-Two: a\r\nX-Two: b\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	long := strings.Repeat("x", 300_000)
	stream := startOrigin(t, "unix", says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long)))
	broken := startOrigin(t, "tcp", func(pc *peerConn) {
		pc.request()
		io.WriteString(pc, "HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
	})
	leading := startOrigin(t, "tcp", says("HTTP/1.1 201 Made\r\nX-Accel-Redirect: /on\r\nContent-Length: 300000\r\n\r\nok"))
	for _, c := range []struct{ name, config, text, want string }{
		{"an answer that breaks off", "SERVER proxy_pass http://" + broken.addr + ";", "$upstream_status|$upstream_response_length", "201|2"},
		{"an answer that sends the request on", "SERVER proxy_pass http://" + leading.addr + "; } location /on {", "$upstream_addr|$upstream_status|$upstream_response_length", leading.addr + "|201|0"},
		{"two servers", "upstream u { server " + busy.addr + "; server " + good.addr + "; } SERVER proxy_pass http://u; proxy_next_upstream http_503;",
			"$upstream_addr|$upstream_status|$upstream_response_length|$proxy_host|$proxy_port|$upstream_http_x_two",
			busy.addr + ", " + good.addr + "|503, 200|0, 2|u|80|a, b"},
		{"a stream", "SERVER proxy_pass http://" + stream.addr + ":/u;", "$upstream_status|$upstream_response_length|$upstream_bytes_received|$proxy_host|$proxy_port",
			fmt.Sprintf("200|%d|%d|localhost|", len(long), len(long)+len(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(long))))},
		{"nobody", "SERVER proxy_pass http://127.0.0.1:1;", "$upstream_addr|$upstream_status|$upstream_connect_time|$upstream_header_time|$proxy_host", "127.0.0.1:1|502|-|-|127.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// the log comes before the pass is let go, as in the program
			s := proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: append([]proxy.Module{logging()}, Modules(Options{})...),
				Text: strings.ReplaceAll(c.config, "SERVER", "server { listen 127.0.0.1:80; says '"+c.text+"'; location / {") + " } }"})
			ask(t, s, get("/"))
			s.Log.Wait(t, "["+c.want+"]")
		})
	}
}

// TestAnAnswerThatNoFileHoldsIsLogged has the file fail for the first bytes of a body, and
// for later ones, which a loop reads ahead.
func TestAnAnswerThatNoFileHoldsIsLogged(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	body := strings.Repeat("x", 1000)
	rest := fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
	for _, c := range []struct{ name, first, then string }{
		{"at once", head + rest, "0\r\n\r\n"},
		{"by the loop", head, rest + "0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := make(chan bool)
			o := startOrigin(t, "tcp", func(pc *peerConn) {
				pc.request()
				io.WriteString(pc, c.first)
				<-began
				io.WriteString(pc, c.then)
			})
			noFolder := func(*config.Scope, *proxy.Location) (string, *upstream.Space) { return "/dev/null/no", nil }
			s := proxytest.New(t, proxytest.Config{Serve: http1.Serve, Modules: Modules(Options{Temporary: noFolder}),
				Text: "server { listen 127.0.0.1:80; location / { proxy_buffers 2 1; proxy_pass http://" + o.addr + "; } }"})
			nc := s.Dial("")
			defer nc.Close()
			fmt.Fprint(nc, get("/"))
			res, err := http.ReadResponse(bufio.NewReader(nc), nil)
			close(began)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(res.Body); err != nil || string(got) != body {
				t.Errorf("%d bytes, %v; want %d", len(got), err, len(body))
			}
			const why = "cannot keep a response for its client"
			s.Log.Wait(t, why)
			if n := strings.Count(s.Log.String(), why); n != 1 {
				t.Errorf("logged %d times (want 1):\n%s", n, s.Log)
			}
		})
	}
}
