package proxypass

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// TestRecordsThatAnswer has origins send valid and invalid records.
func TestRecordsThatAnswer(t *testing.T) {
	const head = "Status: 200 OK\r\nX-A: b\r\n\r\n"
	long := strings.Repeat("0123456789abcdef", 20_000)
	for _, c := range []struct {
		name, method, records string
		status                int
		body                  string // what comes of it
		kept                  bool
		log                   string
	}{
		{"whole", "GET", stdoutRecord(head+"hello") + stdoutRecord("") + endRecord, 200, "hello", true, ""},
		{"without an end of stdout", "GET", stdoutRecord(head+"hello") + endRecord, 200, "hello", true, ""},
		{"a head in pieces", "GET", stdoutRecord("Status: 2") + stdoutRecord("00 OK\r") + stdoutRecord("\n\r\nhel") + stdoutRecord("lo") + endRecord, 200, "hello", true, ""},
		{"long", "GET", stdoutRecord(head+long) + endRecord, 200, long, true, ""},
		{"with a length", "GET", stdoutRecord("Content-Length: 5\r\n\r\nhello") + endRecord, 200, "hello", true, ""},
		{"longer than its length", "GET", stdoutRecord("Content-Length: 3\r\n\r\nhello") + endRecord, 200, "hel", true, "upstream sent more data than specified"},
		{"shorter than its length", "GET", stdoutRecord("Content-Length: 9\r\n\r\nhello") + endRecord, 502, "", true, "gave 5 bytes with a Content-Length of 9"},
		{"HEAD", "HEAD", stdoutRecord(head) + endRecord, 200, "", true, ""},
		{"a complaint before", "GET", fastcgiRecord(7, "PHP message: oops\n") + stdoutRecord(head+"hello") + endRecord, 200, "hello", true, `FastCGI sent in stderr: "PHP message: oops" while reading response header from upstream`},
		{"a complaint alone", "GET", fastcgiRecord(7, "Primary script unknown\n") + endRecord, 502, "", false, "upstream prematurely closed FastCGI stdout while reading response header from upstream"},
		{"nothing", "GET", endRecord, 502, "", false, "upstream prematurely closed FastCGI stdout while reading response header from upstream"},
		{"an end in the head", "GET", stdoutRecord("Status: 200 OK\r\n") + endRecord, 502, "", false, "upstream prematurely closed FastCGI stdout"},
		{"a close in the head", "GET", stdoutRecord("Status: 200 OK\r\n") + "close", 502, "", false, "upstream prematurely closed FastCGI stdout"},
		{"a close", "GET", stdoutRecord(head+"hello") + "close", 200, "hello!unexpected EOF", false, "upstream prematurely closed FastCGI stdout while reading upstream"},
		{"surplus", "GET", stdoutRecord(head+"hello") + endRecord + "x", 200, "hello", false, ""},
		{"stdout after its end", "GET", stdoutRecord(head+"hello") + stdoutRecord("") + stdoutRecord("again") + endRecord, 200, "hello", false, "upstream sent more FastCGI stdout after its end while reading upstream"},
		{"a head after the end of stdout", "GET", stdoutRecord("") + stdoutRecord(head+"hello") + endRecord, 502, "", false, "upstream prematurely closed FastCGI stdout while reading response header from upstream"},
		{"HTTP", "GET", "HTTP/1.1 400 Bad Request\r\n\r\n", 502, "", false, "upstream sent an HTTP answer: it speaks HTTP, use proxy_pass"},
		{"no FastCGI", "GET", "\x02\x06\x00\x01\x00\x00\x00\x00", 502, "", false, "upstream sent unsupported FastCGI protocol version: 2"},
		{"another record", "GET", fastcgiRecord(10, ""), 502, "", false, "upstream sent unexpected FastCGI record: 10"},
		{"another request", "GET", "\x01\x06\x00\x02\x00\x00\x00\x00", 502, "", false, "upstream sent a FastCGI record of another request"},
		{"a switch of protocols", "GET", stdoutRecord("Status: 101 Switching\r\nUpgrade: x\r\n\r\n"), 502, "", false, "upstream switched protocols"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ways(t, func(t *testing.T, cfg proxytest.Config) {
				o := startOrigin(t, "tcp", func(pc *peerConn) {
					for readFastCGI(pc.r) != nil {
						text, ends := strings.CutSuffix(c.records, "close")
						io.WriteString(pc, text)
						if ends {
							return
						}
					}
				})
				cfg.Text = "server { listen 127.0.0.1:80; location / { fastcgi_pass " + o.addr + "; fastcgi_keep_conn on; fastcgi_param REQUEST_METHOD $request_method; } }"
				s := site(t, cfg)
				for range 2 {
					res, body := ask(t, s, c.method+" / HTTP/1.1\r\nHost: site\r\n\r\n")
					if res.StatusCode != c.status || body != c.body && c.status != 502 {
						t.Fatalf("got %s, %.100q of %d bytes, want %d, %.100q", res.Status, body, len(body), c.status, c.body)
					}
				}
				if kept := o.accepted() == 1; kept != c.kept {
					t.Errorf("got %d connections, want 1 that is kept: %v", o.accepted(), c.kept)
				}
				if log := s.Log.String(); !strings.Contains(log, c.log) || c.log == "" && strings.Contains(log, "upstream") {
					t.Errorf("got the log %s, want %q in it", log, c.log)
				}
			})
		})
	}
}

// TestTheStderrOfARequestIsLoggedUpToABound has an application write much more to its
// standard error than the log takes, before its answer and behind it.
func TestTheStderrOfARequestIsLoggedUpToABound(t *testing.T) {
	const size, before, behind = 1000, 300, 300
	for _, c := range []struct {
		name, conf, last string // last is written just before the answer
		status           int
	}{
		{"an answer", "", "~~~~", 200},
		{"a text that is caught past the bound", "fastcgi_catch_stderr caught;", "caught", 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			ways(t, func(t *testing.T, cfg proxytest.Config) {
				o := startOrigin(t, "tcp", func(pc *peerConn) {
					readFastCGI(pc.r)
					flood := fastcgiRecord(7, strings.Repeat("~", size))
					io.WriteString(pc, strings.Repeat(flood, before))
					io.WriteString(pc, fastcgiRecord(7, c.last)+stdoutRecord("\r\nhello"))
					io.WriteString(pc, strings.Repeat(flood, behind)+endRecord)
				})
				cfg.Text = "server { listen 127.0.0.1:80; location / { fastcgi_pass " + o.addr + "; " + c.conf + " } }"
				s := site(t, cfg)
				if res, body := ask(t, s, get("/")); res.StatusCode != c.status || c.status == 200 && body != "hello" {
					t.Fatalf("got %s, %q; want %d", res.Status, body, c.status)
				}
				s.Log.Wait(t, "more bytes in stderr, which are not logged")
				log := s.Log.String()
				left := 0
				fmt.Sscanf(log[strings.LastIndex(log, "FastCGI sent "):], "FastCGI sent %d more", &left)
				logged := strings.Count(log, "~")
				if logged == 0 || logged > maxLogged {
					t.Errorf("got %d bytes of stderr in the log, want 1 to %d", logged, maxLogged)
				}
				if want := (before+behind)*size + len(c.last); c.status == 200 && logged+left != want {
					t.Errorf("got %d bytes in the log and %d left out, want %d together", logged, left, want)
				}
			})
		})
	}
}

// TestAKeptFastCGIConnectionThatHasEndedCostsNothing has a server end connections that are kept.
func TestAKeptFastCGIConnectionThatHasEndedCostsNothing(t *testing.T) {
	ways(t, func(t *testing.T, cfg proxytest.Config) {
		o := startOrigin(t, "tcp", func(pc *peerConn) {
			if q := readFastCGI(pc.r); q != nil {
				io.WriteString(pc, stdoutRecord(fmt.Sprintf("\r\n%d bytes %s", len(q.body), q.params["flags"]))+endRecord)
			}
		})
		cfg.Text = "client_max_body_size 0; client_body_buffer_size 8k; server { listen 127.0.0.1:80; location / { fastcgi_pass " + o.addr + "; fastcgi_keep_conn on; } }"
		s := site(t, cfg)
		for range 5 {
			body := strings.Repeat("x", 200_000)
			if res, got := ask(t, s, fmt.Sprintf("PUT / HTTP/1.1\r\nHost: site\r\nContent-Length: %d\r\n\r\n%s", len(body), body)); res.StatusCode != 200 || got != "200000 bytes 1" {
				t.Fatalf("got %s, %q, want 200, \"200000 bytes 1\"\n%s", res.Status, got, s.Log.String())
			}
		}
	})
}

// TestGatewaysSwitchProtocols has uwsgi and SCGI become tunnels.
func TestGatewaysSwitchProtocols(t *testing.T) {
	for _, g := range gatewayProtocols[:2] {
		o := startOrigin(t, "tcp", func(pc *peerConn) {
			if q := g.read(pc.r); q == nil || q.params["HTTP_UPGRADE"] != "echo" {
				return
			}
			io.WriteString(pc, g.status+"101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
			io.Copy(pc, pc.r)
		})
		s := newSite(t, "server { listen 127.0.0.1:80; location / { "+g.name+"_pass "+o.addr+"; } }")
		nc := s.Dial("")
		r := bufio.NewReader(nc)
		fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" {
			t.Fatalf("%s: got %v, %v, want 101 with Upgrade: echo", g.name, res, err)
		}
		io.WriteString(nc, "late")
		nc.(interface{ CloseWrite() error }).CloseWrite()
		if got, err := io.ReadAll(r); err != nil || string(got) != "hello early late" {
			t.Errorf("%s: got %q, %v, want \"hello early late\"", g.name, got, err)
		}
	}
}

// TestAWrongProtocolIsNamed has gateways' protocols go to an HTTP server.
func TestAWrongProtocolIsNamed(t *testing.T) {
	for _, g := range gatewayProtocols {
		o := startOrigin(t, "tcp", func(pc *peerConn) {
			pc.r.ReadByte()
			io.WriteString(pc, "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad")
		})
		s := newSite(t, "server { listen 127.0.0.1:80; location / { "+g.name+"_pass "+o.addr+"; } }")
		if res, _ := ask(t, s, get("/")); res.StatusCode != 502 || !strings.Contains(s.Log.String(), "it speaks HTTP, use proxy_pass") {
			t.Errorf("%s: got %s, want 502 and a log that names proxy_pass\n%s", g.name, res.Status, s.Log.String())
		}
	}
}

// TestARequestThatIsTooLargeForItsProtocolFails: only SCGI has no bound of its own.
func TestARequestThatIsTooLargeForItsProtocolFails(t *testing.T) {
	for _, g := range gatewayProtocols {
		o := startOrigin(t, "tcp", g.tell)
		s := newSite(t, "server { listen 127.0.0.1:80; large_client_header_buffers 4 100k; location / { "+g.name+"_pass "+o.addr+"; } }")
		res, _ := ask(t, s, "GET / HTTP/1.1\r\nHost: a\r\nX-A: "+strings.Repeat("v", 1<<16)+"\r\n\r\n")
		if large := g.name != "scgi"; large != (res.StatusCode == 500) || large && !strings.Contains(s.Log.String(), "request is too big") {
			t.Errorf("%s: got %s, want 500 and a log line: %v\n%s", g.name, res.Status, large, s.Log.String())
		}
	}
}

// TestAValueIsOneParameter: a NUL would end the value in SCGI, and begin another parameter.
func TestAValueIsOneParameter(t *testing.T) {
	user := base64.StdEncoding.EncodeToString([]byte("a\x00HTTPS\x00on:password"))
	for _, g := range gatewayProtocols {
		o := startOrigin(t, "tcp", g.tell)
		s := newSite(t, "server { listen 127.0.0.1:80; location / { "+g.name+"_pass "+o.addr+"; "+g.name+"_param REMOTE_USER $remote_user; } }")
		res, body := ask(t, s, "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic "+user+"\r\n\r\n")
		if ends := g.name == "scgi"; ends != (res.StatusCode == 400) || ends != strings.Contains(s.Log.String(), "the value of the parameter REMOTE_USER has a NUL") {
			t.Errorf("%s: got %s, want 400: %v\n%s", g.name, res.Status, ends, s.Log)
		}
		if strings.Contains(body, "HTTPS=on") {
			t.Errorf("%s: got a parameter of the client, want none:\n%s", g.name, body)
		}
		if res, body := ask(t, s, "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n"); res.StatusCode != 200 {
			t.Errorf("%s: another user: got %s %q, want 200", g.name, res.Status, body)
		}
	}
}
