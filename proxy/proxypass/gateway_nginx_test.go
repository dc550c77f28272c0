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
				" } location /two/ { PROTOCOL_pass ORIGIN; PROTOCOL_param HTTP_X_A own; PROTOCOL_param A b; PROTOCOL_param A ''; PROTOCOL_param C '' if_not_empty; PROTOCOL_param D $args if_not_empty; PROTOCOL_param CONTENT_LENGTH $content_length; PROTOCOL_param LONG "+strings.Repeat("l", 200)+"; }"+
				" location /bare/ { PROTOCOL_pass ORIGIN; PROTOCOL_param CONTENT_LENGTH $content_length; PROTOCOL_pass_request_headers off; } location /nothing/ { PROTOCOL_pass ORIGIN; PROTOCOL_pass_request_headers off; }"+
				" location /rewritten/ { PROTOCOL_pass ORIGIN; "+params+" rewrite ^/rewritten/(.*)$ /to/$1?x=y break; } location /if/ { "+params+" if ($args) { PROTOCOL_pass ORIGIN; } return 404; }"))
			for _, request := range append(gatewayRequests,
				"GET /f/ HTTP/1.1\r\nHost: site\r\nX-Long: "+strings.Repeat("v", 300)+"\r\nX-Empty:\r\nUser-Agent: a\r\n\r\n",
				"GET /two/?z HTTP/1.1\r\nHost: site\r\nX-A: b\r\nX-B: c\r\n\r\n",
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
