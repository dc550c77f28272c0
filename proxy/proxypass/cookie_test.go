package proxypass

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestCookiesAndRedirectsAreChangedAsNginxChangesThem has both pass on the same fields.
func TestCookiesAndRedirectsAreChangedAsNginxChangesThem(t *testing.T) {
	fields := []string{
		"Set-Cookie: a=b; Domain=old.test; Path=/one/two; Secure",
		"Set-Cookie: a=b; domain=.OLD.test;path=/one;HttpOnly;SameSite=Lax",
		"Set-Cookie: a=b;Domain=x.old.test; Path=/other; Max-Age=5",
		"Set-Cookie: a=b; Domain=www.more.test; Path=/ONE/x",
		"Set-Cookie: a = b ; Path = /one/ ; Domain = old.test ",
		"Set-Cookie: flagged=1; Path=/",
		"Set-Cookie: FLAGGED=1; secure; SameSite=Strict",
		"Set-Cookie: flagged-not=1; HttpOnly; Secure; samesite=none; SECURE",
		"Set-Cookie: session_1=x; HttpOnly",
		"Set-Cookie: session_1",
		"Set-Cookie: a=b; Domain; Path",
		"Set-Cookie: a=b; Domain=; Path=",
		"Set-Cookie: =b; Domain=old.test",
		"Set-Cookie: ; Domain=old.test",
		"Set-Cookie:",
		"Set-Cookie: a=b=c; Path=/one=two; Domain=old.test; Domain=old.test; Path=/one",
		"Set-Cookie: varied=1",
		"Set-Cookie: a=b; Path=/one;",
		"Set-Cookie: a=b; Path=/one; ; Domain=old.test",
		"Set-Cookie: a=b; Path=/one\r\nSet-Cookie: c=d; Domain=old.test",
		"Location: http://back.test/one/x?y",
		"Location: http://BACK.test/one/x",
		"Location: https://back.test:8443/user/ada",
		"Location: /one/x",
		"Refresh: 5; url=https://back.test/user/eve",
		"Refresh: 5; URL=http://back.test/one/",
		"X-Cookie: a=b; Path=/one",
	}
	o := startOrigin(t, "tcp", func(pc *peerConn) {
		for r, _ := pc.request(); r != nil; r, _ = pc.request() {
			var i int
			fmt.Sscanf(r.URL.Path, "/o/%d", &i)
			io.WriteString(pc, "HTTP/1.1 200 OK\r\n"+fields[i]+"\r\nContent-Length: 0\r\n\r\n")
		}
	})
	pass := "proxy_pass http://" + o.addr + "/o/; "
	theirs, mine := beside(t, "proxy_cookie_path /other /another; location /1/ { "+pass+"proxy_cookie_domain old.test new.test; proxy_cookie_path /one/ /uno/; "+
		"proxy_cookie_flags flagged secure samesite=lax httponly; proxy_redirect http://back.test/one/ /uno/; proxy_redirect default; } "+
		"location /2/ { "+pass+`proxy_cookie_domain ~^(www\.)?(?<tail>more)\.test$ $tail.$host; proxy_cookie_domain ~^\.?old\.test .$2new; proxy_cookie_path ~^/one(.*)$ /un$1; proxy_cookie_path ~*^/ONE /big; `+
		`proxy_cookie_flags ~^SESSION_(\d) samesite=strict; proxy_cookie_flags flagged-not nosecure nohttponly nosamesite; proxy_cookie_flags varied $arg_flag secure; `+
		`proxy_redirect ~^(https?)://back\.test(:\d+)?/user/(.+)$ $1://$3.test/; proxy_redirect ~*^http://back\.test/ $scheme://$host/b/; } `+
		"location /3/ { "+pass+"proxy_cookie_path off; proxy_cookie_flags off; proxy_cookie_domain off; proxy_redirect off; } location /4/ { "+pass+"proxy_cookie_domain $arg_d $arg_to; proxy_cookie_path /one/ $arg_to; }")
	for i := range fields {
		for _, target := range []string{"/1/%d", "/2/%d", "/2/%d?flag=httponly", "/3/%d", "/4/%d?d=old.test&to=put"} {
			request := get(fmt.Sprintf(target, i))
			if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
				t.Errorf("%q to %s\n ours  %s\n nginx %s", fields[i], target, got, want)
			}
		}
	}
}

// A client cannot add fields to an answer through a variable.
func TestAChangedFieldHasNoControlCharacter(t *testing.T) {
	o := startOrigin(t, "tcp", says("HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/one\r\nContent-Length: 0\r\n\r\n"))
	s := newSite(t, "server { listen 127.0.0.1:80; location / { proxy_pass http://"+o.addr+"; proxy_cookie_path /one $uri; } }")
	if res, _ := ask(t, s, get("/x%0d%0aX-Own:%20y")); res.StatusCode != 502 || res.Header.Get("X-Own") != "" {
		t.Errorf("got %d %v, want 502 without X-Own", res.StatusCode, res.Header)
	}
}

// TestBodiesAreSetAsNginxSetsThem has both send a body of their own.
func TestBodiesAreSetAsNginxSetsThem(t *testing.T) {
	o := startOrigin(t, "tcp", echo)
	theirs, mine := beside(t, "client_max_body_size 0; proxy_set_header Host h; location /1/ { proxy_pass http://"+o.addr+"/; proxy_set_body \"[$request_method $arg_x]\"; } "+
		"location /2/ { proxy_pass http://"+o.addr+"/; proxy_set_body ''; } location /3/ { proxy_pass http://"+o.addr+"/; proxy_set_body $arg_x; proxy_request_buffering off; proxy_method PUT; } "+
		"location /4/ { proxy_pass http://"+o.addr+"/; proxy_set_body own; proxy_pass_request_body off; proxy_pass_request_headers off; }")
	for _, request := range []string{
		"GET /%d/?x=y HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /%d/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /%d/?x=y HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST /%d/?x=y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HEAD /%d/?x=y HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /%d/?x=y HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200_000),
	} {
		for i := 1; i <= 4; i++ {
			request := fmt.Sprintf(request, i)
			if got, want := seen(t, mine(), request), seen(t, theirs(), request); got != want {
				t.Errorf("%.80q\n ours  %s\n nginx %s", request, got, want)
			}
		}
	}
}
