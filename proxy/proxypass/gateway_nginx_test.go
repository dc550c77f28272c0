package proxypass

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// tell answers a request with its parameters in order, and its body.
func (g *gatewayProtocol) tell(c *peerConn) {
	for q := g.read(c.r); q != nil; q = g.read(c.r) {
		var b strings.Builder
		for _, name := range q.names {
			if name == "REMOTE_ADDR" || name == "REMOTE_PORT" || name == "SERVER_ADDR" || name == "SERVER_PORT" {
				continue
			}
			fmt.Fprintf(&b, "%s=%s\n", name, q.params[name])
		}
		text := fmt.Sprintf("%s%s %s %d bytes %.10s", b.String(), q.params["modifiers"], q.params["flags"], len(q.body), q.body)
		io.WriteString(c, g.answer(fmt.Sprintf("%s200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", g.status, len(text), text)))
		if q.params["flags"] != "1" {
			return
		}
	}
}

// TestGatewaysGetWhatNginxSends has both send requests with nginx's files of parameters.
func TestGatewaysGetWhatNginxSends(t *testing.T) {
	for _, g := range gatewayProtocols {
		t.Run(g.name, func(t *testing.T) {
			o := startOrigin(t, "tcp", g.tell)
			file, own := g.name+"_params", ""
			switch g.name {
			case "uwsgi":
				own = "uwsgi_modifier1 5; uwsgi_modifier2 7;"
			case "fastcgi":
				own = "fastcgi_keep_conn on; fastcgi_index i.php;"
			}
			params := strings.ReplaceAll(paramsFile(t, file), "$nginx_version", "1")
			theirs, mine := beside(t, strings.NewReplacer("PROTOCOL_", g.name+"_", "ORIGIN", o.addr).Replace("client_max_body_size 0; root /srv; location / { "+params+" PROTOCOL_pass ORIGIN; "+own+
				" } location /two/ { PROTOCOL_pass ORIGIN; PROTOCOL_param HTTP_X_A own; PROTOCOL_param HTTP_X_GONE ''; PROTOCOL_param HTTP_X_EMPTY $arg_none; PROTOCOL_param HTTP_PROXY ''; PROTOCOL_param A b; PROTOCOL_param A ''; PROTOCOL_param C '' if_not_empty; PROTOCOL_param D $args if_not_empty; PROTOCOL_param CONTENT_LENGTH $content_length; PROTOCOL_param LONG "+strings.Repeat("l", 200)+"; }"+
				" location /bare/ { PROTOCOL_pass ORIGIN; PROTOCOL_param CONTENT_LENGTH $content_length; PROTOCOL_pass_request_headers off; } location /nothing/ { PROTOCOL_pass ORIGIN; PROTOCOL_pass_request_headers off; }"+
				" location /rewritten/ { PROTOCOL_pass ORIGIN; "+params+" rewrite ^/rewritten/(.*)$ /to/$1?x=y break; } location /if/ { "+params+" if ($args) { PROTOCOL_pass ORIGIN; } return 404; }"))
			for _, request := range append(gatewayRequests,
				"GET /f/ HTTP/1.1\r\nHost: site\r\nX-Long: "+strings.Repeat("v", 300)+"\r\nX-Empty:\r\nUser-Agent: a\r\n\r\n",
				"GET /two/?z HTTP/1.1\r\nHost: site\r\nX-A: b\r\nX-B: c\r\nX-Gone: d\r\nX-Empty: e\r\nProxy: f\r\n\r\n",
				"POST /two/ HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\n\r\nabc",
				"GET /nothing/ HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET /rewritten/a%20b?c=d HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET /if/?a HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET /if/ HTTP/1.1\r\nHost: site\r\n\r\n",
				"GET http://other:8080/x HTTP/1.1\r\nHost: other:8080\r\n\r\n",
				"GET /a HTTP/1.1\r\nHost: site\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
			) {
				got, want := seen(t, mine(), request), seen(t, theirs(), request)
				got, want = strings.ReplaceAll(got, "alicorn/0.1.0", "-"), strings.ReplaceAll(want, "nginx/1.22.1", "-")
				if got != want {
					t.Errorf("%.60q\n ours  %s\n nginx %s", request, got, want)
				}
			}
		})
	}
}

// gatewayAnswers are what origins say, and how this program differs from nginx 1.22 on
// purpose; "": it does not.
var gatewayAnswers = []struct{ text, ours string }{
	{"Status: 200 OK\r\nContent-Type: text/html\r\n\r\nok", ""},
	{"Status: 404 Not Here\r\nX-A: b\r\nX-A: c\r\n\r\nok", ""},
	{"Status: 404\r\n\r\nok", ""},
	{"Content-Type: text/html\r\n\r\nok", ""},
	{"Content-Type: text/html\n\nok", ""},
	{"\r\nok", ""},
	{"Location: /a/b\r\n\r\n", ""},
	{"Location: http://else.example/a\r\n\r\nbody", ""},
	{"Status: 201 Created\r\nLocation: /a\r\n\r\n", ""},
	{"Status: 204 No Content\r\n\r\n", ""},
	{"Status: 304 Not Modified\r\nETag: \"a\"\r\n\r\n", ""},
	{"Status: 20\r\n\r\nok", "502"},
	{"Status: abc\r\n\r\nok", ""},
	{"Status: 99999\r\n\r\nok", "502"},
	{"HTTP/1.1 201 Made\r\nX-A: b\r\n\r\nok", "201"},
	{"HTTP/1.0 404 Not Here\r\nStatus: 200\r\n\r\nok", "404"},
	{"Content-Length: 2\r\n\r\nok", ""},
	{"Content-Length: 2\r\n\r\nlonger", ""},
	{"Content-Length: 10\r\n\r\nshort", "502"},
	{"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", "200"},
	{"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "502"},
	{"Content-Length: x\r\n\r\nok", "502"},
	{"Content-Length: -1\r\n\r\nok", "502"},
	{"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", ""},
	{"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok", "502"},
	{"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nServer: own\r\nX-Powered-By: x\r\nX-Pad: y\r\n\r\nok", ""},
	{"Connection: close\r\nKeep-Alive: x\r\nUpgrade: y\r\nX-A: b\r\n\r\nok", ""},
	{"X-Accel-Redirect: /files/x\r\nContent-Disposition: inline\r\n\r\nunseen", ""},
	{"X-Accel-Redirect: @none\r\n\r\nunseen", ""},
	{"WWW-Authenticate: Basic\r\nStatus: 401 No\r\n\r\nok", ""},
	{"X-Long: " + strings.Repeat("v", 5000) + "\r\n\r\nok", ""},
	{"X-A: b\r\n", ""},
	{"", ""},
	{"no colon\r\n\r\nok", "502"},
	{"X A: b\r\n\r\nok", "502"},
	{": b\r\n\r\nok", "502"},
	{"X-A: b\x00c\r\n\r\nok", ""},
	{"X-A: b\r\n c\r\n\r\nok", "502"},
	{"Status: 500 Oops\r\n\r\nno", ""},
	{"Status: 101 Switching\r\n\r\nok", "502"},
	{"Content-Type: text/html; charset=koi8-r\r\nExpires: 0\r\nCache-Control: private\r\nLast-Modified: x\r\n\r\n" + strings.Repeat("long", 50_000), ""},
}

// TestGatewaysAnswersAreThoseThatNginxPassesOn has both pass on what a scripted origin says.
func TestGatewaysAnswersAreThoseThatNginxPassesOn(t *testing.T) {
	for _, g := range gatewayProtocols {
		t.Run(g.name, func(t *testing.T) {
			o := startOrigin(t, "tcp", func(c *peerConn) {
				if q := g.read(c.r); q != nil {
					var i int
					fmt.Sscanf(q.params["URI"], "/%d", &i)
					io.WriteString(c, g.answer(gatewayAnswers[i].text))
				}
			})
			theirs, mine := beside(t, strings.NewReplacer("PROTOCOL_", g.name+"_", "ORIGIN", o.addr).Replace(
				"error_page 502 = @bad; location @bad { return 502; } location /files/ { internal; return 200 $uri; } location / { PROTOCOL_pass ORIGIN; PROTOCOL_param URI $uri; }"))
			for i, answer := range gatewayAnswers {
				for _, method := range []string{"GET", "HEAD"} {
					request := fmt.Sprintf("%s /%d HTTP/1.1\r\nHost: site\r\n\r\n", method, i)
					got, want := withoutLength(seen(t, mine(), request)), withoutLength(seen(t, theirs(), request))
					if got != want && (answer.ours == "" || !strings.HasPrefix(got, answer.ours)) {
						t.Errorf("%s %.60q\n ours  %.300s\n nginx %.300s", method, answer.text, got, want)
					}
				}
			}
		})
	}
}
