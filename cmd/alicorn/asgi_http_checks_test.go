package main

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// httpChecks are the checks of testdata/asgi/checks/checks_http.py. Those of a file send file.
func httpChecks(file string) []asgiCheck {
	const noExtension = "there is no extension"
	length := func(n int) string { return fmt.Sprintf("content-length: %d", n) }
	checks := []asgiCheck{
		{name: "scope_is_a_dict"},
		{name: "scope_has_all_keys"},
		{name: "asgi_version"},
		{name: "asgi_spec_version"},
		{name: "http_version"},
		{name: "http_version_1_0", talk: talkHTTP10, uvicorn: "HTTP/1.0 is answered with"},
		{name: "scheme"},
		{name: "path_is_decoded", target: "/a%20b%2Fc/%C3%A9%3F"},
		{name: "path_of_other_bytes", target: "/%FF"},
		{name: "path_keeps_its_slashes", target: "//a/"},
		{name: "path_keeps_plus_and_semicolon", target: "/a+b;c=1"},
		{name: "raw_path_has_no_query", target: "?a=%20&b=?"},
		{name: "query_is_empty", target: "?"},
		{name: "absolute_form", talk: func(c *asgiClient, k asgiCheck) {
			c.send("GET http://checks.test/absolute_form?a=1 HTTP/1.1\r\nHost: checks.test\r\n\r\n")
			k.answer(c)
		}},
		{name: "root_path_is_empty"},
		{name: "headers_are_pairs_of_bytes"},
		{name: "header_names_are_lower_case", fields: []string{"X-MIXED-Case: Value"}},
		{name: "headers_are_in_order", fields: []string{"X-A: 1", "X-B: 2", "X-A: 3"}},
		{name: "header_values_are_trimmed", fields: []string{"X-A:  \ta  b \t", "X-Empty:"}, uvicorn: "value is b'a  b \\t'"},
		{name: "header_values_are_any_bytes", fields: []string{"X-A: \xe9\xff"}},
		{name: "header_host", fields: []string{"Host: checks.test:81"}},
		{name: "header_cookie", fields: []string{"Cookie: a=1; b=2"}},
		{name: "header_content_type", method: "POST", fields: []string{"Content-Type: text/x"}, body: "body"},
		{name: "client", talk: talkOfAddresses},
		{name: "server", talk: talkOfAddresses},
		{name: "scope_is_its_own", talk: twice},
		{name: "scope_has_no_tls"},
		{name: "context_is_its_own", talk: twice},
		{name: "body_of_get"},
		{name: "body_is_whole", method: "POST", body: "a=1&b=2"},
		{name: "body_of_a_mebibyte", method: "PUT", body: strings.Repeat("0123456789abcdef", 1<<16)},
		{name: "body_in_chunks", talk: func(c *asgiClient, k asgiCheck) {
			c.send("POST /body_in_chunks HTTP/1.1\r\nHost: checks.test\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\none\r\n4\r\n two\r\n0\r\nX-Trailer: 1\r\n\r\n")
			k.answer(c)
			c.send("GET /body_in_chunks HTTP/1.1\r\nHost: checks.test\r\nTransfer-Encoding: chunked\r\n\r\n7\r\none two\r\n0\r\n\r\n")
			k.answer(c)
		}},
		{name: "body_streams", want: "*", talk: func(c *asgiClient, k asgiCheck) {
			c.send("POST /body_streams HTTP/1.1\r\nHost: checks.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
			c.readUntil("one\r\n")
			c.send("3\r\ntwo\r\n0\r\n\r\n")
			c.readUntil("two\r\n0\r\n\r\n")
		}},
		{name: "body_after_continue", talk: func(c *asgiClient, k asgiCheck) {
			c.send("POST /body_after_continue HTTP/1.1\r\nHost: checks.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
			c.readUntil("HTTP/1.1 100 Continue\r\n\r\n")
			c.send("body")
			k.answer(c)
		}},
		{name: "body_is_not_received", method: "POST", body: "not received", talk: twice},
		{name: "receive_waits_after_the_body", method: "POST", body: "body"},
		{name: "receive_after_the_response"},
		{name: "client_leaves", talk: leave},
		{name: "client_leaves_before_the_response", talk: func(c *asgiClient, k asgiCheck) {
			c.send(k.request())
			k.begun(c)
			c.conn.Close()
		}},
		{name: "client_resets_before_the_response", talk: func(c *asgiClient, k asgiCheck) {
			c.send(k.request())
			k.begun(c)
			c.conn.(*net.TCPConn).SetLinger(0)
			c.conn.Close()
		}},
		{name: "client_leaves_in_its_body", talk: func(c *asgiClient, k asgiCheck) {
			c.send("POST /client_leaves_in_its_body HTTP/1.1\r\nHost: checks.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
			k.begun(c)
			c.conn.Close()
		}},
		{name: "send_after_the_client_left", talk: leave},
		{name: "task_goes_on_without_the_client", talk: leave},
		{name: "response_without_headers"},
		{name: "response_without_body", want: "none"},
		{name: "response_headers_are_any_iterable", head: []string{"x-a: 1", "x-b: 1"}},
		{name: "response_headers_are_lists", head: []string{"x-a: 1", "x-b: 2"}},
		{name: "response_headers_repeat", head: []string{"set-cookie: a=1, b=2"}},
		{name: "response_headers_have_any_bytes", head: []string{"x-a: \xe9"}},
		{name: "response_headers_have_capitals", head: []string{"x-capital: 1", length(2)}, lacks: []string{"transfer-encoding"}},
		{name: "response_length", head: []string{length(2)}, lacks: []string{"transfer-encoding"}},
		{name: "response_in_parts", want: "one two three"},
		{name: "response_in_parts_of_a_length", want: "one two three", head: []string{length(13)}, lacks: []string{"transfer-encoding"}},
		{name: "response_with_empty_parts"},
		{name: "response_is_flushed", talk: func(c *asgiClient, k asgiCheck) {
			c.send(k.request())
			c.readUntil("one\r\n")
			k.open(c)
			c.readUntil("two\r\n0\r\n\r\n")
		}},
		{name: "response_of_five_mebibytes", want: strings.Repeat("0123456789abcdef", 5<<16), head: []string{length(5 << 20)}},
		{name: "response_to_head", method: "HEAD", head: []string{length(2)}, talk: twice},
		{name: "response_to_head_in_parts", method: "HEAD", talk: twice},
		{name: "response_204", status: 204, lacks: []string{"content-length", "transfer-encoding"}, talk: twice},
		{name: "response_304", status: 304, head: []string{`etag: "a"`}, lacks: []string{"transfer-encoding"}, talk: twice},
		{name: "response_has_one_date", head: []string{"date: Mon, 01 Jan 2024 00:00:00 GMT"}, uvicorn: "field date"},
		{name: "response_has_one_server", head: []string{"server: own"}, uvicorn: "field server"},
		{name: "response_waits_for_the_client", talk: func(c *asgiClient, k asgiCheck) {
			c.send(k.request())
			k.begun(c)
			if a := c.read("GET"); !a.complete || strings.TrimLeft(a.body, "x") != "end" {
				c.fault("the answer of %d bytes is cut off (%v) or another", len(a.body), a.cut)
			}
		}},
		{name: "response_before_a_task_ends", talk: func(c *asgiClient, k asgiCheck) {
			k.exchange(c)
			k.open(c)
		}},
		{name: "requests_run_together", talk: func(c *asgiClient, k asgiCheck) {
			first, firstReader := c.conn, c.reader
			c.send(k.request())
			c.conn = nil
			if err := c.redial(); err != nil {
				c.fault("cannot connect again: %v", err)
				return
			}
			k.exchange(c)
			c.conn.Close()
			c.conn, c.reader = first, firstReader
			k.answer(c)
		}},
		{name: "connection_is_kept", talk: twice},
		{name: "connection_pipelines", talk: func(c *asgiClient, k asgiCheck) {
			for _, k.target = range []string{"?1", "?2", "?3"} {
				c.send(k.request())
			}
			for _, k.want = range []string{"1", "2", "3"} {
				k.answer(c)
			}
		}},
		{name: "extension_pathsend", fields: []string{"X-File: " + file}, want: "abcdefghijklmnopqrstuvwxyz", uvicorn: noExtension},
		{name: "extension_zerocopysend", fields: []string{"X-File: " + file}, want: "<cdefg>", uvicorn: noExtension},
		{name: "extension_trailers", fields: []string{"TE: trailers"}, uvicorn: noExtension, talk: func(c *asgiClient, k asgiCheck) {
			c.same(k.exchange(c).trailer.Get("X-Sum"), "42", "trailer x-sum")
		}},
		{name: "extension_early_hint", uvicorn: noExtension, talk: func(c *asgiClient, k asgiCheck) {
			c.send(k.request())
			c.same(c.readUntil("\r\n\r\n"), "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\nlink: </b.js>; rel=preload\r\n\r\n", "early hint")
			k.answer(c)
		}},
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"} {
		checks = append(checks, asgiCheck{name: "method", method: method, fields: []string{"X-Method: " + method}})
	}
	for _, status := range []int{201, 299, 404, 418, 500, 503} {
		checks = append(checks, asgiCheck{name: "response_status", target: fmt.Sprintf("?%d", status), status: status})
	}
	return checks
}

// twice makes the exchange two times on one connection.
func twice(c *asgiClient, k asgiCheck) {
	k.exchange(c)
	k.exchange(c)
}

// leave closes the connection within the answer.
func leave(c *asgiClient, k asgiCheck) {
	c.send(k.request())
	c.readUntil("begun\r\n")
	c.conn.Close()
}

func talkHTTP10(c *asgiClient, k asgiCheck) {
	c.send("GET /http_version_1_0 HTTP/1.0\r\nHost: checks.test\r\n\r\n")
	text, err := io.ReadAll(c.reader)
	if err != nil || !strings.HasSuffix(string(text), "\r\n\r\nok") || strings.Contains(strings.ToLower(string(text)), "transfer-encoding") {
		c.fault("HTTP/1.0 is answered with %q, %v", text, err)
	}
}

// talkOfAddresses tells the application what it ought to find.
func talkOfAddresses(c *asgiClient, k asgiCheck) {
	own, theirs := c.conn.LocalAddr().(*net.TCPAddr), c.conn.RemoteAddr().(*net.TCPAddr)
	k.fields = []string{fmt.Sprintf("X-Client-Port: %d", own.Port), fmt.Sprintf("X-Server-Port: %d", theirs.Port)}
	k.exchange(c)
}
