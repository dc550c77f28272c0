package h1

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"alicorn/proxy"
)

var responseRules = ResponseRules{Head: 4 << 10, Fields: 100}

// answer is a response as it was read.
type answer struct {
	head    ResponseHead
	refusal string // why the head was refused; "" if it was read
	body    string
	fault   string // what is wrong with the body; "" if it was read
	rest    string // the bytes after the response
}

// response reads one response to a request with method.
func (r *reader) response(method string) (a answer) {
	a.head.Method = method
	n, err := a.head.Feed(r.data[r.at:r.had], &responseRules)
	for n == 0 && err == nil {
		if !r.more() {
			a.refusal = "incomplete"
			return a
		}
		n, err = a.head.Feed(r.data[r.at:r.had], &responseRules)
	}
	if a.refusal = reason(err); err != nil {
		return a
	}
	r.at += n
	b := a.head.Body
	a.body, err = r.body(&b)
	if a.fault = reason(err); err == nil {
		a.rest = string(r.data[r.at:])
	}
	return a
}

func (a answer) String() string {
	h := &a.head
	if a.refusal != "" {
		return a.refusal
	}
	text := fmt.Sprintf("1.%d %d", h.Minor, h.Status)
	if h.Reason != "" {
		text += " " + h.Reason
	}
	for f := range h.Header.All() {
		text += fmt.Sprintf(" | %s: %s", f.Name, f.Value)
	}
	for _, name := range h.Ignored {
		text += " | without " + name
	}
	text += fmt.Sprintf(" | %d [%s]", h.ContentLength, a.body)
	switch {
	case a.fault != "":
		text += " " + a.fault
	case h.Interim():
		text += " interim"
	case h.KeepAlive:
		text += " kept"
	default:
		text += " closed"
	}
	if a.rest != "" {
		text += " rest " + a.rest
	}
	return text
}

func TestResponses(t *testing.T) {
	const ok, two = "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\nok"
	const coded, chunks = "Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"
	const read = "1.1 200 OK | Content-Length: 2 | 2 [ok] kept"
	longest := 4<<10 - len(ok+"X: \r\nContent-Length: 2\r\n\r\n") // the value that fills a head
	const readCoded = "1.1 200 OK | Transfer-Encoding: chunked | -1 [ok] kept"
	for _, c := range []struct {
		name, answer, want string
		nginx              string // what nginx 1.22 does with it; "" if that is the same
	}{
		{"a length", ok + two, read, ""},
		{"another response behind it", ok + two + ok, read + " rest " + ok, ""},
		{"no reason and no space", "HTTP/1.1 200\r\n" + two, "1.1 200 | Content-Length: 2 | 2 [ok] kept", ""},
		{"no reason", "HTTP/1.1 200 \r\n" + two, "1.1 200 | Content-Length: 2 | 2 [ok] kept", ""},
		{"a long reason", "HTTP/1.1 404 There is  no such thing\r\n" + two, "1.1 404 There is  no such thing | Content-Length: 2 | 2 [ok] kept", ""},
		{"a reason above ASCII", "HTTP/1.1 200 \xc3\xa9\r\n" + two, "1.1 200 \xc3\xa9 | Content-Length: 2 | 2 [ok] kept", ""},
		{"a tab in the reason", "HTTP/1.1 200 O\tK\r\n" + two, "1.1 200 O\tK | Content-Length: 2 | 2 [ok] kept", ""},
		{"a control character in the reason", "HTTP/1.1 200 O\x01K\r\n" + two, "a control character in the status line", "passes it on"},
		{"NUL in the reason", "HTTP/1.1 200 O\x00K\r\n" + two, "a control character in the status line", "passes it on"},
		{"a bare CR in the reason", "HTTP/1.1 200 O\rK\r\n" + two, "a control character in the status line", "passes all of it on as a body of HTTP/0.9"},
		{"two spaces before the status", "HTTP/1.1  200 OK\r\n" + two, badStatusLine, "reads it"},
		{"a tab before the status", "HTTP/1.1\t200 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"a status of two digits", "HTTP/1.1 20 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"a status of four digits", "HTTP/1.1 1000 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"a status of letters", "HTTP/1.1 2x0 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"a letter behind the status", "HTTP/1.1 200x OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"a fraction of a status", "HTTP/1.1 200.1 OK\r\n" + two, badStatusLine, "reads 200.1"},
		{"a minus before the status", "HTTP/1.1 -20 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"status 0", "HTTP/1.1 000 OK\r\n" + two, "an invalid status", "passes it on"},
		{"status 99", "HTTP/1.1 099 OK\r\n" + two, "an invalid status", "passes it on"},
		{"status 999", "HTTP/1.1 999 Odd\r\n" + two, "1.1 999 Odd | Content-Length: 2 | 2 [ok] kept", ""},
		{"no status", "HTTP/1.1\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"1.0", "HTTP/1.0 200 OK\r\n" + two, "1.0 200 OK | Content-Length: 2 | 2 [ok] closed", ""},
		{"1.0 that goes on", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" + two, "1.0 200 OK | Connection: Keep-Alive | Content-Length: 2 | 2 [ok] kept", ""},
		{"1.2", "HTTP/1.2 200 OK\r\n" + two, "1.2 200 OK | Content-Length: 2 | 2 [ok] kept", ""},
		{"1.10", "HTTP/1.10 200 OK\r\n" + two, badStatusLine, "reads it"},
		{"2.0", "HTTP/2.0 200 OK\r\n" + two, badStatusLine, "reads it"},
		{"0.9 by name", "HTTP/0.9 200 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"no minor version", "HTTP/1 200 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"small letters", "http/1.1 200 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"something else than HTTP", "hello", badStatusLine, "HTTP/0.9"},
		{"another protocol", "ICY 200 OK\r\n" + two, badStatusLine, "HTTP/0.9"},
		{"TLS", "\x15\x03\x01\x00\x02\x02\x50", badStatusLine, "HTTP/0.9"},
		{"an empty line first", "\r\n" + ok + two, badStatusLine, "HTTP/0.9"},
		{"a space first", " " + ok + two, badStatusLine, "HTTP/0.9"},
		{"nothing", "", "incomplete", ""},
		{"a status line cut off", "HTTP/1.1 2", "incomplete", ""},
		{"a head cut off", ok + "Content-Length: 2\r\n", "incomplete", ""},
		{"a head without its last LF", ok + "Content-Length: 2\r\n\r", "incomplete", ""},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", read, ""},
		{"LF and CRLF", ok + "Content-Length: 2\n\r\nok", read, ""},

		{"folding", ok + "X: a\r\n b\r\n" + two, "obsolete line folding", ""},
		{"folding by a tab", ok + "X: a\r\n\tb\r\n" + two, "obsolete line folding", ""},
		{"folding of the first line", ok + " X: a\r\n" + two, "obsolete line folding", ""},
		{"a bare CR in a value", ok + "X: a\rb\r\n" + two, "a control character in a header field", ""},
		{"a CR before the CRLF", ok + "X: a\r\r\n" + two, "a control character in a header field", "reads it"},
		{"NUL in a value", ok + "X: a\x00b\r\n" + two, "a control character in a header field", ""},
		{"a control character in a value", ok + "X: a\x01b\r\n" + two, "a control character in a header field", "passes it on"},
		{"DEL in a value", ok + "X: a\x7fb\r\n" + two, "a control character in a header field", "passes it on"},
		{"a tab in a value", ok + "X: a\tb\r\n" + two, "1.1 200 OK | X: a\tb | Content-Length: 2 | 2 [ok] kept", ""},
		{"a value above ASCII", ok + "X: \xff\r\n" + two, "1.1 200 OK | X: \xff | Content-Length: 2 | 2 [ok] kept", ""},
		{"an empty value", ok + "X:\r\n" + two, "1.1 200 OK | X:  | Content-Length: 2 | 2 [ok] kept", ""},
		{"blanks around a value", ok + "X: \t a b \t\r\n" + two, "1.1 200 OK | X: a b | Content-Length: 2 | 2 [ok] kept", "keeps tabs"},
		{"a space before the colon", ok + "X : a\r\n" + two, "white space or a control character in a header name", ""},
		{"a space in a name", ok + "X Y: a\r\n" + two, "white space or a control character in a header name", ""},
		{"a control character in a name", ok + "X\x01: a\r\n" + two, "white space or a control character in a header name", ""},
		{"a name above ASCII", ok + "X\xff: a\r\n" + two, "white space or a control character in a header name", "passes it on"},
		{"a name with underscores, points and other bytes of tokens", ok + "X_y.z!: a\r\n" + two, "1.1 200 OK | X_y.z!: a | Content-Length: 2 | 2 [ok] kept", ""},
		{"a name with delimiters", ok + "X(y): a\r\nX/y: b\r\n" + two, "1.1 200 OK | Content-Length: 2 | without X(y) | without X/y | 2 [ok] kept", "passes it on"},
		{"no colon", ok + "X\r\n" + two, "a header line without a colon", "takes it for a name"},
		{"no name", ok + ": a\r\n" + two, "a header field without a name", ""},
		{"as many fields as are allowed", ok + strings.Repeat("X: y\r\n", 99) + two, "1.1 200 OK" + strings.Repeat(" | X: y", 99) + " | Content-Length: 2 | 2 [ok] kept", ""},
		{"a field more", ok + strings.Repeat("X: y\r\n", 100) + two, "too many header lines", "has no bound but the buffer"},
		{"a long field", ok + "X: " + strings.Repeat("a", 4<<10) + "\r\n" + two, tooBigHeader, ""},
		{"a long status line", "HTTP/1.1 200 " + strings.Repeat("a", 4<<10) + "\r\n" + two, tooBigHeader, ""},
		{"a head of the largest size", ok + "X: " + strings.Repeat("a", longest) + "\r\n" + two, "1.1 200 OK | X: " + strings.Repeat("a", longest) + " | Content-Length: 2 | 2 [ok] kept", ""},
		{"a head a byte larger", ok + "X: " + strings.Repeat("a", longest+1) + "\r\n" + two, tooBigHeader, ""},

		{"lengths that agree", ok + "Content-Length: 2\r\n" + two, "1.1 200 OK | Content-Length: 2 | Content-Length: 2 | 2 [ok] kept", ""},
		{"lengths that agree in other words", ok + "Content-Length: 02\r\n" + two, "an invalid or repeated Content-Length", "takes the last"},
		{"lengths that contradict", ok + "Content-Length: 3\r\n" + two, "an invalid or repeated Content-Length", "takes the last"},
		{"a list of lengths", ok + "Content-Length: 2, 2\r\n\r\nok", "an invalid or repeated Content-Length", "reads until the end"},
		{"a negative length", ok + "Content-Length: -2\r\n\r\nok", "an invalid or repeated Content-Length", "reads until the end"},
		{"a length with a plus", ok + "Content-Length: +2\r\n\r\nok", "an invalid or repeated Content-Length", "reads until the end"},
		{"an empty length", ok + "Content-Length:\r\n\r\nok", "an invalid or repeated Content-Length", "reads until the end"},
		{"a hexadecimal length", ok + "Content-Length: 0x2\r\n\r\nok", "an invalid or repeated Content-Length", "reads until the end"},
		{"a length too large for 63 bits", ok + "Content-Length: 9223372036854775808\r\n\r\nok", "an invalid or repeated Content-Length", "reads until the end"},
		{"a length of two words", ok + "Content-Length: 1 2\r\n\r\nok", "an invalid or repeated Content-Length", "reads until the end"},
		{"a length with zeros before it", ok + "Content-Length: 002\r\n\r\nok", "1.1 200 OK | Content-Length: 002 | 2 [ok] kept", ""},
		{"a length in tabs", ok + "Content-Length:\t2\t\r\n\r\nok", read, "reads until the end"},
		{"a space between Content-Length and its colon", ok + "Content-Length : 2\r\n\r\nok", "white space or a control character in a header name", ""},
		{"a body cut off", ok + "Content-Length: 5\r\n\r\nok", "1.1 200 OK | Content-Length: 5 | 5 [ok] unexpected EOF", ""},
		{"more than the length", ok + "Content-Length: 1\r\n\r\nok", "1.1 200 OK | Content-Length: 1 | 1 [o] kept rest k", ""},
		{"the length 0", ok + "Content-Length: 0\r\n\r\n", "1.1 200 OK | Content-Length: 0 | 0 [] kept", ""},
		{"no length", ok + "\r\nok", "1.1 200 OK | -1 [ok] closed", ""},
		{"no length in 1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok", "1.0 200 OK | Connection: keep-alive | -1 [ok] closed", ""},
		{"Connection: close", ok + "Connection: x, Close\r\n" + two, "1.1 200 OK | Connection: x, Close | Content-Length: 2 | 2 [ok] closed", ""},

		{"chunks", ok + coded + "\r\n" + chunks, readCoded, ""},
		{"chunks with capitals", ok + "transfer-encoding: CHUNKED\r\n\r\n" + chunks, "1.1 200 OK | transfer-encoding: CHUNKED | -1 [ok] kept", ""},
		{"chunks and another response", ok + coded + "\r\n" + chunks + ok, readCoded + " rest " + ok, ""},
		{"extensions", ok + coded + "\r\n2;a=b ;c\r\nok\r\n0;d\r\n\r\n", readCoded, ""},
		{"trailers", ok + coded + "\r\n2\r\nok\r\n0\r\nX: y\r\nZ:\r\n\r\n", readCoded, ""},
		{"an invalid size", ok + coded + "\r\nzz\r\nok\r\n0\r\n\r\n", "1.1 200 OK | Transfer-Encoding: chunked | -1 [] an invalid chunk size", ""},
		{"bare LF in chunks", ok + coded + "\r\n2\nok\n0\n\n", "1.1 200 OK | Transfer-Encoding: chunked | -1 [] an invalid chunk size", "reads it"},
		{"blanks behind a size", ok + coded + "\r\n2 \r\nok\r\n0\r\n\r\n", "1.1 200 OK | Transfer-Encoding: chunked | -1 [] blanks between a chunk size and its CRLF", "reads it"},
		{"chunks cut off", ok + coded + "\r\n2\r\nok\r\n", "1.1 200 OK | Transfer-Encoding: chunked | -1 [ok] unexpected EOF", ""},
		{"the last CRLF cut off", ok + coded + "\r\n2\r\nok\r\n0\r\n", "1.1 200 OK | Transfer-Encoding: chunked | -1 [ok] unexpected EOF", ""},
		{"a length and a coding", ok + coded + "Content-Length: 2\r\n\r\n" + chunks, "both Content-Length and Transfer-Encoding", "takes the coding"},
		{"a coding and a length", ok + "Content-Length: 2\r\n" + coded + "\r\n" + chunks, "both Content-Length and Transfer-Encoding", "takes the coding"},
		{"chunked twice", ok + coded + coded + "\r\n" + chunks, "several Transfer-Encoding fields", "takes it for one"},
		{"two codings", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks, "an unknown Transfer-Encoding", "takes it for chunked"},
		{"identity", ok + "Transfer-Encoding: identity\r\n\r\nok", "an unknown Transfer-Encoding", "ignores it"},
		{"an empty coding", ok + "Transfer-Encoding:\r\n\r\nok", "an unknown Transfer-Encoding", "ignores it"},
		{"a parameter of chunked", ok + "Transfer-Encoding: chunked;q=1\r\n\r\n" + chunks, "an unknown Transfer-Encoding", "takes it for chunked"},
		{"chunks in 1.0", "HTTP/1.0 200 OK\r\n" + coded + "\r\n" + chunks, "Transfer-Encoding in an HTTP/1.0 response", "reads it"},

		{"100", "HTTP/1.1 100 Continue\r\n\r\n" + ok + two, "1.1 100 Continue | -1 [] interim rest " + ok + two, "takes it for the response"},
		{"103", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + two, "1.1 103 Early Hints | Link: </a> | -1 [] interim rest " + ok + two, "takes it for the response"},
		{"100 with the length 0", "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n", "1.1 100 Continue | Content-Length: 0 | 0 [] interim", ""},
		{"100 with a length", "HTTP/1.1 100 Continue\r\n" + two, "an interim response with a body", "takes it for the response"},
		{"100 with chunks", "HTTP/1.1 100 Continue\r\n" + coded + "\r\n" + chunks, "an interim response with a body", "takes it for the response"},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\nhello", "1.1 101 Switching Protocols | Connection: upgrade | -1 [] closed rest hello", ""},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", "1.1 204 No Content | -1 [] kept", ""},
		{"204 with the length 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "1.1 204 No Content | Content-Length: 0 | 0 [] kept", ""},
		{"204 with a body", "HTTP/1.1 204 No Content\r\n" + two, "1.1 204 No Content | Content-Length: 2 | 2 [] closed rest ok", ""},
		{"204 with chunks", "HTTP/1.1 204 No Content\r\n" + coded + "\r\n0\r\n\r\n", "1.1 204 No Content | Transfer-Encoding: chunked | -1 [] closed rest 0\r\n\r\n", ""},
		{"205 with a body", "HTTP/1.1 205 Reset Content\r\n" + two, "1.1 205 Reset Content | Content-Length: 2 | 2 [ok] kept", ""},
		{"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "1.1 304 Not Modified | Content-Length: 2 | 2 [] kept", ""},
		{"304 with chunks", "HTTP/1.1 304 Not Modified\r\n" + coded + "\r\n", "1.1 304 Not Modified | Transfer-Encoding: chunked | -1 [] kept", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := inPieces(t, []byte(c.answer), func(r *reader) answer { return r.response("GET") })
			if got.String() != c.want {
				t.Errorf("%.200q\ngot   %.300s\nwant  %.300s\nnginx %s", c.answer, got.String(), c.want, cmp.Or(c.nginx, "the same"))
			}
		})
	}
}

// A response to HEAD has the head of a response to GET, and no body.
func TestResponsesToHEAD(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "1.1 200 OK | Content-Length: 2 | 2 [] kept"},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1.1 200 OK | Transfer-Encoding: chunked | -1 [] kept"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "1.1 200 OK | -1 [] kept"},
		{"in 1.0", "HTTP/1.0 200 OK\r\n\r\n", "1.0 200 OK | -1 [] closed"},
		{"a body all the same", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "1.1 200 OK | Content-Length: 2 | 2 [] kept rest ok"},
		{"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "1.1 204 No Content | Content-Length: 2 | 2 [] kept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := inPieces(t, []byte(c.answer), func(r *reader) answer { return r.response("HEAD") })
			if got.String() != c.want {
				t.Errorf("%q\ngot  %s\nwant %s", c.answer, got, c.want)
			}
		})
	}
}

// The head of a gateway may have a status line, and need not have one.
func TestHeadsOfCGI(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"a status", "Status: 404 Not Here\r\nX: y\r\n\r\nbody", "404 Not Here | Status: 404 Not Here | X: y | -1 rest"},
		{"a bare status", "status: 201\n\nbody", "201 | status: 201 | -1 rest"},
		{"no status", "Content-Length: 4\r\n\r\nbody", "200 | Content-Length: 4 | 4 of 4"},
		{"nothing", "\r\nbody", "200 | -1 rest"},
		{"a location", "Location: /a\r\n\r\n", "302 Moved Temporarily | Location: /a | -1 rest"},
		{"a location with a status", "Location: /a\r\nStatus: 201 Created\r\n\r\n", "201 Created | Location: /a | Status: 201 Created | -1 rest"},
		{"a status line", "HTTP/1.1 404 Not Here\r\nStatus: 200\r\nX: y\r\n\r\n", "404 Not Here | Status: 200 | X: y | -1 rest"},
		{"a status line of another version", "HTTP/2 404\r\n\r\n", "white space or a control character in a header name"},
		{"an invalid status", "Status: 20 OK\r\n\r\n", "an invalid status"},
		{"an empty status", "Status:\r\n\r\nok", "an invalid status"},
		{"a status that is too low", "Status: 099\r\n\r\n", "an invalid status"},
		{"two lengths", "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", "an invalid or repeated Content-Length"},
		{"no length", "Content-Length: -4\r\n\r\n", "an invalid or repeated Content-Length"},
		{"a coding", "Transfer-Encoding: chunked\r\n\r\n", "200 | Transfer-Encoding: chunked | -1 rest"},
		{"a coding and a length", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", "both Content-Length and Transfer-Encoding"},
		{"204", "Status: 204\r\nContent-Length: 4\r\n\r\n", "204 | Status: 204 | Content-Length: 4 | 4 of 0"},
		{"no colon", "hello\r\n\r\n", "a header line without a colon"},
	} {
		h := ResponseHead{Method: "GET"}
		rules := responseRules
		rules.CGI = true
		_, err := h.Feed([]byte(c.answer), &rules)
		got := reason(err)
		if err == nil {
			got, _, _ = strings.Cut(strings.TrimPrefix(answer{head: h}.String(), fmt.Sprintf("1.%d ", h.Minor)), " [")
			if got += " rest"; h.Body.Left() < 1<<20 {
				got = strings.TrimSuffix(got, "rest") + fmt.Sprintf("of %d", h.Body.Left())
			}
		}
		if got != c.want || h.KeepAlive {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTheFirstWrongByteOfAStatusLineIsAnError(t *testing.T) {
	for _, text := range []string{"\r", "h", "HTTP/2", "HTTP/1-", "SSH-"} {
		var h ResponseHead
		if n, err := h.Feed([]byte(text), &responseRules); n != 0 || reason(err) != badStatusLine {
			t.Errorf("%q: got %d, %v, want 0, %q", text, n, err, badStatusLine)
		}
	}
}

// Reset leaves nothing of the head before, and keeps the memory.
func TestResponseHeadsAreUsedAgain(t *testing.T) {
	var h ResponseHead
	first := []byte("HTTP/1.0 404 Not Found\r\nConnection: close\r\nContent-Length: 2\r\nX(y): z\r\nServer: a\r\n\r\n")
	second := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	read := func(text []byte) {
		h.Reset("GET")
		if n, err := h.Feed(text, &responseRules); n != len(text) || err != nil {
			t.Fatalf("got %d, %v, want %d", n, err, len(text))
		}
	}
	read(first)
	read(second)
	want := "1.1 200 OK | Transfer-Encoding: chunked | -1 [] kept"
	if got := (answer{head: h}).String(); got != want || h.Header.Value(proxy.FieldServer) != "" {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := testing.AllocsPerRun(100, func() { read(first); read(second) }); n > 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
