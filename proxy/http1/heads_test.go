package http1_test

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

var (
	serverLine = regexp.MustCompile(`(?m)^Server: (?:nginx|alicorn)(/?)[0-9.]*\r$`)
	dateLine   = regexp.MustCompile(`(?m)^Date: (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT\r$`)
	lengthLine = regexp.MustCompile(`(?m)^Content-Length: \d+\r$`)
	reason     = regexp.MustCompile(`^HTTP/1.1 \d\d\d[^\r]*\r\n`)
)

// shape returns the head of a response without what may differ between two servers:
// versions, dates, lengths of pages, reason phrases.
func shape(answer, request string) string {
	head, _, _ := strings.Cut(answer, "\r\n\r\n")
	head += "\r\n"
	head = serverLine.ReplaceAllString(head, "Server: NAME$1\r")
	head = dateLine.ReplaceAllString(head, "Date: IMF\r")
	head = lengthLine.ReplaceAllString(head, "Content-Length: N\r")
	head = reason.ReplaceAllStringFunc(head, func(line string) string { return line[:len("HTTP/1.1 200")] + "\r\n" })
	// nginx sends Connection: keep-alive to clients of HTTP/1.1, too. There it is the
	// default (RFC 9112 section 9.3), so we send it only to 1.0.
	if strings.Contains(request, "HTTP/1.1\r\n") {
		head = strings.ReplaceAll(head, "Connection: keep-alive\r\n", "")
	}
	return head
}

// Date, Server, Content-Type, Content-Length, Connection and Keep-Alive come
// in nginx's order, with nginx's values.
func TestHeadsAreThoseOfNginx(t *testing.T) {
	for _, settings := range []string{"", "server_tokens off;", "keepalive_timeout 75s 20s;", "keepalive_timeout 0;", "keepalive_requests 1;"} {
		settings += " lingering_timeout 100ms;"
		s, dir := newServer(t, settings), startNginx(t, settings)
		for _, request := range []string{
			get + "\r\n", get + last + "\r\n", "HEAD / HTTP/1.1\r\n" + host + "\r\n", "GET / HTTP/1.0\r\n\r\n",
			"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", post + "Content-Length: 3\r\n\r\nabc",
			"GET / HTTP/1.1\r\n\r\n", "X\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", post + "Transfer-Encoding: x\r\n\r\n",
			"TRACE / HTTP/1.1\r\n" + host + "\r\n", post + "Content-Length: 9999999\r\n\r\n", "GET /" + long(9000) + " HTTP/1.1\r\n\r\n",
			get + "X: " + long(9000) + "\r\n\r\n",
		} {
			nc, err := net.Dial("unix", filepath.Join(dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			got, want := shape(answers(t, s.Dial("127.0.0.1:8000"), request), request), shape(answers(t, nc, request), request)
			if got != want {
				t.Errorf("%s %.60q:\ngot  %q\nwant %q", settings, request, got, want)
			}
		}
	}
}

// RFC 9110 section 6.6.1: Date is the time at which the message was made.
func TestDateIsNow(t *testing.T) {
	s := newServer(t, "")
	dates := map[string]bool{}
	proxytest.Eventually(t, func() bool {
		before := time.Now().Truncate(time.Second)
		_, date, _ := strings.Cut(answers(t, s.Dial("127.0.0.1:8000"), get+"\r\n"), "\r\nDate: ")
		date, _, _ = strings.Cut(date, "\r\n")
		got, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", date)
		if err != nil || got.Before(before) || got.After(time.Now()) {
			t.Fatalf("got Date %q, %v, want %v", date, err, time.Now().UTC())
		}
		dates[date] = true
		return len(dates) == 3
	}, "got only the dates %v, want 3", dates)
}
