package http1_test

import (
	"fmt"
	"strings"
	"testing"
)

// paddedLine returns a request whose request line has n bytes, with its CRLF.
func paddedLine(n int) string {
	const rest = "GET / HTTP/1.1\r\n"
	return "GET /" + long(n-len(rest)) + " HTTP/1.1\r\n" + host + "\r\n"
}

// paddedField returns a request with a header line of n bytes, with its CRLF.
func paddedField(n int) string { return get + "X: " + long(n-len("X: \r\n")) + "\r\n\r\n" }

func TestHeadsAreBoundedAsByNginx(t *testing.T) {
	path := func(n int) string { return "/" + long(n-len("GET / HTTP/1.1\r\n")) }
	served := func(n int) string { return "200 GET " + path(n) + " a [] open" }
	const rule = "nginx: large_client_header_buffers bounds a line, and all lines together"
	runCases(t, "client_header_buffer_size 512; large_client_header_buffers 2 1k;", rule, []wireCase{
		same("a line of the first buffer", paddedLine(512), served(512)),
		same("a line of more than the first buffer", paddedLine(513), served(513)),
		same("a line two bytes below the bound", paddedLine(1022), served(1022)),
		same("a line a byte below the bound", paddedLine(1023), served(1023)),
		same("a line of the bound", paddedLine(1024), served(1024)),
		same("a line a byte past the bound", paddedLine(1025), "414 closed"),
		same("a line two bytes past the bound", paddedLine(1026), "414 closed"),
		same("a line far past the bound", paddedLine(3000), "414 closed"),
		same("a field of the first buffer", paddedField(480), "200 GET / a [] open"),
		same("a field two bytes below the bound", paddedField(1022), "200 GET / a [] open"),
		same("a field a byte below the bound", paddedField(1023), "200 GET / a [] open"),
		same("a field of the bound", paddedField(1024), "200 GET / a [] open"),
		same("a field a byte past the bound", paddedField(1025), "400 closed"),
		same("a field two bytes past the bound", paddedField(1026), "400 closed"),
		same("a field far past the bound", paddedField(3000), "400 closed"),
		same("fields together below the bound", get+strings.Repeat("X: "+long(595)+"\r\n", 2)+"\r\n", "200 GET / a [] open"),
		same("fields together past the bound", get+strings.Repeat("X: "+long(595)+"\r\n", 5)+"\r\n", "400 closed"),
		same("short fields together past the bound", get+strings.Repeat("X: 1\r\n", 1000)+"\r\n", "400 closed"),
	})
	runCases(t, "client_header_buffer_size 4k; large_client_header_buffers 1 1k;", rule, []wireCase{
		same("a line of the first buffer", paddedLine(4096), served(4096)),
		same("a line past it", paddedLine(4098), "414 closed"),
		same("a field of the first buffer", paddedField(4000), "200 GET / a [] open"),
		same("a field past it", paddedField(4098), "400 closed"),
	})
	runCases(t, "large_client_header_buffers 2 1k; error_page 414 =200 /long; error_page 494 =200 /big; error_page 400 =200 /bad;", "nginx: 494 has error pages of its own", []wireCase{
		same("a line", paddedLine(1100), "200 GET /long  [] closed"),
		ours("a field", paddedField(1100), "200 GET /big  [] closed", "200 GET /big a [] closed", "the fields of a head without an end are not read"),
		ours("fields together", get+strings.Repeat("X: "+long(595)+"\r\n", 8)+"\r\n", "200 GET /big  [] closed", "200 GET /big a [] closed", "the fields of a head without an end are not read"),
		same("another mistake", get+"X : 1\r\n\r\n", "200 GET /bad a [] closed"),
	})
}

func TestConnectionsAreKeptAsByNginx(t *testing.T) {
	one := "200 GET / a [] "
	runCases(t, "keepalive_requests 3;", "nginx: keepalive_requests", []wireCase{
		same("below the number", get+"\r\n", one+"open"),
		same("one below the number", strings.Repeat(get+"\r\n", 2), strings.Repeat(one, 2)+"open"),
		same("of the number", strings.Repeat(get+"\r\n", 3), strings.Repeat(one, 3)+"closed"),
		same("past the number", strings.Repeat(get+"\r\n", 5), strings.Repeat(one, 3)+"closed"),
		same("in 1.0", strings.Repeat("GET / HTTP/1.0\r\n"+host+"Connection: keep-alive\r\n\r\n", 5), strings.Repeat(one, 3)+"closed"),
	})
	runCases(t, "keepalive_requests 1;", "nginx: keepalive_requests", []wireCase{same("a single request", get+"\r\n", one+"closed")})
	runCases(t, "keepalive_timeout 0;", "nginx: keepalive_timeout 0 keeps no connection", []wireCase{
		same("1.1", get+"\r\n", one+"closed"),
		same("1.0", "GET / HTTP/1.0\r\n"+host+"Connection: keep-alive\r\n\r\n", one+"closed"),
	})
}

func TestTheFieldsOfAHeadAreBounded(t *testing.T) {
	fields := func(n int) string {
		var b strings.Builder
		b.WriteString(get) // with Host
		for i := 1; i < n; i++ {
			fmt.Fprintf(&b, "X-%d: v\r\n", i)
		}
		return b.String() + "\r\n"
	}
	// The directive came with nginx 1.29.
	runCases(t, "large_client_header_buffers 4 32k;", "nginx: max_headers counts the fields that are kept", []wireCase{
		same("as many fields as are allowed by default", fields(1000), "200 GET / a [] open"),
		ours("one field more", fields(1001), "400 closed", "-", ""),
		ours("fields by the thousand", fields(6400), "400 closed", "-", ""),
		same("dropped fields do not count", get+strings.Repeat("x_y: 1\r\n", 1500)+"\r\n", "200 GET / a [] open"),
	})
}
