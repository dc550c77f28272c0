package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alicorn/config"
	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// errorPages is one server for both servers: SAY and FAIL become say and fail here, and
// return for nginx.
const errorPages = `
	error_page 404 /server404;
	location = /server404 { SAY server404; }
	location /plain { FAIL 500; }
	location /inherited { FAIL 404; }
	location /keeps { error_page 404 /page; FAIL 404; }
	location /own-hides-inherited { error_page 500 /page; FAIL 404; }
	location /code { error_page 404 =200 /page; FAIL 404; }
	location /code/none { error_page 404 =204 /page; FAIL 404; }
	location /equals { error_page 404 = /page; FAIL 404; }
	location /equals/failing { error_page 404 = /failing; FAIL 404; }
	location /list { error_page 500 502 503 504 /page; FAIL 503; }
	location /several { error_page 500 /other; error_page 503 /page; FAIL 503; }
	location /first { error_page 503 /page; error_page 503 /other; FAIL 503; }
	location /named { error_page 404 @named; FAIL 404; }
	location /named/equals { error_page 404 = @named; FAIL 404; }
	location /named/code { error_page 404 =201 @named; FAIL 404; }
	location /named/missing { error_page 404 @missing; FAIL 404; }
	location /url { error_page 404 http://other.example/x; FAIL 404; }
	location /url/301 { error_page 404 =301 http://other.example/x; FAIL 404; }
	location /url/200 { error_page 404 =200 http://other.example/x; FAIL 404; }
	location /url/variable { error_page 404 http://$host$uri; FAIL 404; }
	location /variable { error_page 404 /$arg_to; FAIL 404; }
	location /args { error_page 404 /args-page?from=$uri; FAIL 404; }
	location /args/fixed { error_page 404 /args-page?a=b; FAIL 404; }
	location /args/kept { error_page 404 /args-page; FAIL 404; }
	location /failing-page { error_page 404 /failing; FAIL 404; }
	location /failing-page/200 { error_page 404 =200 /failing; FAIL 404; }
	location /chain { error_page 404 /chain2; FAIL 404; }
	location /recursive { recursive_error_pages on; error_page 404 /recursive2; FAIL 404; }
	location /recursive2 { recursive_error_pages on; error_page 500 =202 /page; FAIL 500; }
	location /loop { recursive_error_pages on; error_page 404 /loop; FAIL 404; }
	location /closed { error_page 404 /internal; FAIL 404; }
	location /internal { internal; error_page 404 /page; SAY "internal:$uri"; }
	location /chain2 { error_page 500 /page; FAIL 500; }
	location /failing { FAIL 500; }
	location /page { SAY "page:$uri:$args:$request_method:$request_uri"; }
	location /args-page { SAY "args:$args"; }
	location /other { SAY other; }
	location @named { SAY "named:$uri"; }
`

var errorTargets = []string{"/plain", "/inherited", "/keeps", "/own-hides-inherited", "/code", "/code/none", "/equals", "/equals/failing",
	"/list", "/several", "/first", "/named", "/named/equals", "/named/code", "/named/missing", "/url", "/url/301", "/url/200", "/url/variable",
	"/variable?to=page", "/variable?to=other", "/args", "/args/fixed", "/args/kept?x=y", "/failing-page", "/failing-page/200", "/chain",
	"/recursive", "/loop", "/closed", "/internal", "/page", "/nowhere", "/keeps?x=1"}

func TestErrorPagesAreThoseOfNginx(t *testing.T) {
	theirs := strings.NewReplacer("SAY", "return 200", "FAIL", "return").Replace(errorPages)
	mine := strings.NewReplacer("SAY", "say", "FAIL", "fail").Replace(errorPages)
	n := startNginx(t, "server { listen unix:DIR/pages; "+theirs+" }")
	s := start(t, "server { listen 80; absolute_redirect off; "+mine+" }")
	for _, target := range errorTargets {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			r := s.Do(proxytest.Request{Method: method, Target: target, Host: "h"})
			got := page(r.Status, r.Text(), r.Header.Get("Location"))
			if want := n.page(t, method, target); got != want {
				t.Errorf("%s %s:\n ours  %s\n nginx %s", method, target, got, want)
			}
		}
	}
}

func TestStatusPagesHaveTheWordsOfNginx(t *testing.T) {
	codes := []string{"400", "401", "402", "403", "404", "405", "406", "409", "410", "411", "412", "413", "414", "415", "416",
		"421", "429", "500", "501", "502", "503", "504", "505", "507"}
	text := "location /302 { error_page 404 http://other.example/; FAIL 404; }\n"
	for _, code := range codes {
		text += "location /" + code + " { FAIL " + code + "; }\n"
	}
	n := startNginx(t, "server { listen unix:DIR/pages; server_tokens off; "+strings.ReplaceAll(text, "FAIL", "return")+" }")
	s := start(t, "server { listen 80; server_tokens off; "+strings.ReplaceAll(text, "FAIL", "fail")+" }")
	for _, code := range append(codes, "302") {
		r := s.Do(proxytest.Request{Target: "/" + code, Host: "h"})
		got := fmt.Sprintf("%d %s\n%s", r.Status, proxy.StatusText(r.Status), strings.Replace(r.Text(), "alicorn", "nginx", 1))
		res, body := n.ask(t, "GET", "/"+code)
		if want := res.Status + "\n" + body; got != want {
			t.Errorf("%s:\n ours  %q\n nginx %q", code, got, want)
		}
	}
}

// page returns the part of an answer that is compared, which is not the text of status pages.
func page(status int, body, location string) string {
	if strings.HasPrefix(body, "<html>") {
		body = "status page"
	}
	return fmt.Sprintf("%d %q %q", status, body, location)
}

func (n nginx) page(t *testing.T, method, target string) string {
	t.Helper()
	res, body := n.ask(t, method, target)
	return page(res.StatusCode, body, res.Header.Get("Location"))
}

// ask returns the answer of nginx's server.
func (n nginx) ask(t *testing.T, method, target string) (*http.Response, string) {
	t.Helper()
	nc, err := net.Dial("unix", filepath.Join(n.dir, "pages"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", method, target)
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestACycleOfInternalRedirectsIs500AfterTen(t *testing.T) {
	s := start(t, `server { listen 80; location /a { goto /b; } location /b { goto /a; }
		location /named { goto @n; } location @n { goto @n; }
		location /1 { goto /2; } location /2 { goto /3; } location /3 { goto /4; } location /4 { goto /5; } location /5 { goto /6; }
		location /6 { goto /7; } location /7 { goto /8; } location /8 { goto /9; } location /9 { goto /x; } location /x { goto /y; } location /y { say there; } }`)
	for _, target := range []string{"/a", "/named"} {
		if r := s.Get(target); r.Status != 500 || r.Heads != 1 {
			t.Errorf("%s: got %d; want 500 and Heads 1", target, r.Status)
		}
	}
	if !strings.Contains(s.Log.String(), "error: rewrite or internal redirection cycle while redirecting to") {
		t.Errorf(`log: %s; want "error: rewrite or internal redirection cycle while redirecting to" in it`, s.Log)
	}
	if r := s.Get("/1"); r.Text() != "there" {
		t.Errorf(`ten redirects: got %d %q; want "there"`, r.Status, r.Text())
	}
}

func TestRequestsThatCannotBeReadHaveErrorPages(t *testing.T) {
	s := start(t, `server { listen 80; error_page 400 /bad; error_page 414 =200 /long; error_page 494 /big; error_page 497 =301 https://$host$request_uri;
		location /bad { say bad:$status; } location /long { say long; } location /big { say big; } location / { say root; } }`)
	for _, c := range []struct {
		err          error
		status       int
		text, target string
	}{
		{proxy.Status(400), 400, "bad:400", "/x"},
		{proxy.Status(414), 200, "long", "/x"},
		{proxy.StatusHeaderTooLarge, 400, "big", "/x"},
		{&proxy.Fail{Status: 408, Level: proxy.LevelInfo, Reason: "client timed out"}, 408, "", "/x"},
		{nil, 400, "bad:400", "/%"},
	} {
		r := s.Do(proxytest.Request{Target: c.target, Err: c.err})
		if r.Status != c.status || c.text != "" && r.Text() != c.text {
			t.Errorf("%v: got %d %q; want %d %q", c.err, r.Status, r.Text(), c.status, c.text)
		}
		if c.err != nil && !r.Dropped {
			t.Errorf("%v: the connection would be reused", c.err)
		}
	}
	if r := s.Do(proxytest.Request{Target: "/a?b", Host: "h.example", Err: proxy.StatusHTTPToHTTPS}); r.Status != 301 || r.Header.Get("Location") != "https://h.example/a?b" {
		t.Errorf(`497: got %d %q; want 301 and "https://h.example/a?b"`, r.Status, r.Header.Get("Location"))
	}
}

func TestAPageOfARefusedRequestKnowsItsPath(t *testing.T) {
	s := start(t, `server { listen 80; error_page 405 =200 $uri; error_page 400 /bad; location / { say "$uri|$args|$request_method"; } location /bad { say "bad $uri"; } }`)
	for _, c := range []struct {
		method, target string
		err            error
		want           string
	}{
		{"TRACE", "/a%20b?x=1", proxy.Status(405), "200 /a b||GET"},
		{"TRACE", "/", proxy.Status(405), "200 /||GET"},
		{"GET", "/a", proxy.Status(400), "400 bad /bad"},
		{"GET", "//a/../b", proxy.Status(405), "200 /b||GET"},
	} {
		r := s.Do(proxytest.Request{Method: c.method, Target: c.target, Err: c.err})
		if got := fmt.Sprintf("%d %s", r.Status, r.Text()); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.target, got, c.want)
		}
	}
}

func TestABodyPastTheBoundIs413AndNamesTheDirective(t *testing.T) {
	s := start(t, "server { listen 80;\n client_max_body_size 10;\n error_page 413 /page;\nlocation / { read; } location /page { say page; } location /free { client_max_body_size 0; read; } }")
	for _, c := range []struct {
		r      proxytest.Request
		status int
		text   string
	}{
		{proxytest.Request{Method: "POST", Body: "0123456789"}, 200, "10"},
		{proxytest.Request{Method: "POST", Body: "0123456789a"}, 413, "page"},
		{proxytest.Request{Method: "POST", Body: "0123456789a", Chunked: true}, 413, "page"},
		{proxytest.Request{Method: "POST", Body: strings.Repeat("x", 9000), Target: "/free"}, 200, "9000"},
	} {
		if r := s.Do(c.r); r.Status != c.status || r.Text() != c.text {
			t.Errorf("%d bytes: got %d %q; want %d and %q", len(c.r.Body), r.Status, r.Text(), c.status, c.text)
		}
	}
	want := "error: client intended to send too large body: 11 bytes; client_max_body_size is 10 (" + s.Dir + "/alicorn.conf:2), client: 127.0.0.1"
	if strings.Count(s.Log.String(), want) != 2 {
		t.Errorf("log: %s; want %q 2 times", s.Log, want)
	}
}

func TestHandlersThatPanicFailOnlyTheirRequest(t *testing.T) {
	s := start(t, `server { listen 80; error_page 500 /page; location / { panic; } location /page { say page; } }`)
	if r := s.Get("/"); r.Status != 500 || r.Heads != 1 {
		t.Errorf("got %d, want 500 and Heads 1", r.Status)
	}
	if got := s.Log.String(); !strings.Contains(got, "alert: internal error: as asked") {
		t.Errorf(`log: %s; want "alert: internal error: as asked" in it`, got)
	}
	if r := s.Get("/page"); r.Text() != "page" {
		t.Errorf(`got %q, want "page"`, r.Text())
	}
}

func TestStatus444ClosesWithoutAResponse(t *testing.T) {
	s := start(t, `server { listen 80; location / { fail 444; } }`)
	if r := s.Get("/"); r.Heads != 0 || !r.Aborted {
		t.Errorf("got %+v, want Heads 0 and Aborted true", r)
	}
}

func TestThePageOfABodyThatIsTooLargeHasNone(t *testing.T) {
	s := start(t, `server { listen 80; client_max_body_size 10; error_page 413 /page;
		location / { read; } location /page { read; } location /named { error_page 413 @named; read; } location @named { read; }
		location /other { error_page 413 /free; read; } location /free { client_max_body_size 0; read; }
		location /missing { error_page 404 /page; fail 404; } }`)
	for _, c := range []struct {
		target, body string
		chunked      bool
		want         string
	}{
		{"/", "0123456789a", false, "413 0 true"},
		{"/", "0123456789a", true, "413 0 true"},
		{"/named", "0123456789a", false, "413 0 true"},
		{"/named", "0123456789a", true, "413 0 true"},
		{"/other", "0123456789a", true, "413 0 true"},
		{"/missing", "01234", false, "404 5 false"}, // the body of another error is the page's
	} {
		r := s.Do(proxytest.Request{Method: "POST", Target: c.target, Body: c.body, Chunked: c.chunked})
		if got := fmt.Sprintf("%d %s %t", r.Status, r.Text(), r.Dropped); got != c.want {
			t.Errorf("%s, chunked %t: %s, want %s", c.target, c.chunked, got, c.want)
		}
	}
}

func TestMistakesOfErrorPageAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"error_page 200 /x;":       `"200" is not a status from 300 to 599`,
		"error_page 499 /x;":       `499 cannot have a page`,
		"error_page 404;":          `takes at least 2 arguments, not 1`,
		"error_page =200 /x;":      `needs at least one status code`,
		"error_page 404 =x /x;":    `"x" is not a whole number from 200 to 599`,
		"error_page 404 /$nonsuch": `unknown variable "$nonsuch"`,
	} {
		err := mistakes(t, "server { "+strings.TrimSuffix(text, ";")+"; }")
		var errs interface{ Unwrap() []error }
		if !errors.As(err, &errs) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "/conf/alicorn.conf:1:") {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestAnAnswerThatIsCutIsLoggedAtTheLevelOfItsCause(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{proxy.ErrClientGone, "info: client closed connection while sending response to client"},
		{fmt.Errorf("%w (reset)", proxy.ErrClientGone), "info: client closed connection (reset) while sending response to client"},
		{&proxy.Fail{Status: proxy.StatusClientClosed, Level: proxy.LevelInfo, Reason: "client left"}, "info: client left while sending response to client"},
		{&proxy.Fail{Status: 408, Level: proxy.LevelInfo, Reason: "client timed out"}, "info: client timed out while sending response to client"},
		{&proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: "upstream ended"}, "error: upstream ended while sending response to client"},
		{&proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: "upstream ended while reading upstream"}, "error: upstream ended while reading upstream"},
		{errors.New("disk failed"), "error: disk failed while sending response to client"},
	} {
		s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; }", Modules: []proxy.Module{{
			Name: "cut",
			Compile: func(_ *config.Scope, l *proxy.Location) error {
				l.SetContent(proxy.HandlerFunc(func(x *proxy.Exchange) error {
					x.Res.Status = 200
					if err := x.Res.Send(); err != nil {
						return err
					}
					return c.err
				}))
				return nil
			},
		}}})
		if r := s.Get("/"); !r.Aborted {
			t.Errorf("%v: the answer was not cut", c.err)
		}
		if got := s.Log.String(); !strings.HasPrefix(got, c.want+", client: ") {
			t.Errorf("%v: logged %q, want %q", c.err, got, c.want)
		}
	}
}
