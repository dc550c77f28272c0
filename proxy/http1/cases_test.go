package http1_test

import (
	"strings"
	"testing"
)

// The parts that most cases share.
const (
	host    = "Host: a\r\n"
	last    = "Connection: close\r\n"
	get     = "GET / HTTP/1.1\r\n" + host
	post    = "POST / HTTP/1.1\r\n" + host
	chunked = post + "Transfer-Encoding: chunked\r\n" + last + "\r\n"
	next    = "GET /next HTTP/1.1\r\n" + host + last + "\r\n"
)

func long(n int) string { return strings.Repeat("a", n) }

// rawCase is bytes that a client sends and the summary of all that may come
// back: statuses, and the bodies of 200s. The client ends its side after them.
type rawCase struct{ name, request, want string }

func runCases(t *testing.T, settings string, cases []rawCase) {
	s := newServer(t, "lingering_timeout 100ms; client_header_timeout 5s; "+settings)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := summary(exchange(t, s, c.request)); got != c.want {
				t.Errorf("answer %q, want %q", got, c.want)
			}
		})
	}
}

func TestMethods(t *testing.T) {
	line := func(method string) string { return method + " / HTTP/1.1\r\n" + host + last + "\r\n" }
	runCases(t, "", []rawCase{
		{"every token byte", line("a!#$%&'*+-.^_`|~0Z"), "200 a!#$%&'*+-.^_`|~0Z / a []"},
		{"unknown", line("BREW"), "200 BREW / a []"},
		{"PUT without a body", line("PUT"), "200 PUT / a []"},
		{"DELETE", line("DELETE"), "200 DELETE / a []"},
		{"CONNECT with a path", line("CONNECT"), "405"},
		{"trace in lower case is another method", line("trace"), "200 trace / a []"},
		{"quoted", line(`"GET"`), "400"},
		{"brackets", line("[GET]"), "400"},
		{"comma", line("GET,POST"), "400"},
		{"slash", line("GE/T"), "400"},
		{"NUL", line("GET\x00"), "400"},
		{"high byte", line("G\xc3\x89T"), "400"},
		{"empty", line(""), "400"},
		{"leading space", line(" GET"), "400"},
		{"leading tab", line("\tGET"), "400"},
		{"delete byte", line("GET\x7f"), "400"},
		{"very long", line(long(9000)), "414"},
	})
}

func TestTargets(t *testing.T) {
	line := func(target string) string { return "GET " + target + " HTTP/1.1\r\n" + host + last + "\r\n" }
	runCases(t, "", []rawCase{
		{"query", line("/p?x=1&y=%zz"), "200 GET /p a []"},
		{"empty query", line("/p?"), "200 GET /p a []"},
		{"fragment is cut off", line("/p#f"), "200 GET /p a []"},
		{"decoded once", line("/%2541"), "200 GET /%41 a []"},
		{"dot segments", line("/a/./b/../c"), "200 GET /a/c a []"},
		{"encoded dot segments", line("/a/%2e%2e/b"), "200 GET /b a []"},
		{"merged slashes", line("//a///b"), "200 GET /a/b a []"},
		{"raw UTF-8", line("/\xc3\xa9"), "200 GET /\xc3\xa9 a []"},
		{"colon in the path", line("/a:b"), "200 GET /a:b a []"},
		{"URL in the path", line("/http://b/"), "200 GET /http:/b/ a []"},
		{"absolute", line("http://b/p"), "200 GET /p b []"},
		{"absolute in capitals", line("HTTP://B/p"), "200 GET /p b []"},
		{"absolute https", line("https://b/p"), "200 GET /p b []"},
		{"absolute without a path", line("http://b"), "200 GET / b []"},
		{"absolute with a query only", line("http://b?x"), "200 GET / b []"},
		{"absolute with a port", line("http://b:8080/"), "200 GET / b []"},
		{"absolute IPv6", line("http://[::1]:8080/"), "200 GET / [::1] []"},
		{"absolute with a user", line("http://u@b/"), "400"},
		{"absolute without a host", line("http:///p"), "400"},
		{"absolute with a port only", line("http://:80/"), "400"},
		{"another scheme", line("ftp://b/"), "400"},
		{"no scheme", line("://b/"), "400"},
		{"authority", line("b:80"), "400"},
		{"asterisk with OPTIONS", "OPTIONS * HTTP/1.1\r\n" + host + last + "\r\n", "400"},
		{"asterisk and more", line("*/x"), "400"},
		{"above the root", line("/../etc/passwd"), "400"},
		{"encoded above the root", line("/%2e%2e/etc/passwd"), "400"},
		{"encoded NUL", line("/a%00b"), "400"},
		{"NUL", line("/a\x00b"), "400"},
		{"cut escape", line("/a%4"), "400"},
		{"lone percent", line("/a%"), "400"},
		{"control character", line("/a\x01b"), "400"},
		{"delete byte", line("/a\x7fb"), "400"},
		{"tab", line("/a\tb"), "400"},
		{"space", line("/a b"), "400"},
		{"backslash is a byte like others", line(`/a\b`), `200 GET /a\b a []`},
		{"query only", line("?x"), "400"},
		{"fragment only", line("#x"), "400"},
		{"longest that fits", line("/" + long(8100)), "200 GET /" + long(8100) + " a []"},
		{"too long", line("/" + long(8192)), "414"},
		{"too long query", line("/?" + long(8192)), "414"},
	})
}

func TestVersions(t *testing.T) {
	line := func(version string) string { return "GET / " + version + "\r\n" + host + last + "\r\n" }
	runCases(t, "", []rawCase{
		{"1.0", line("HTTP/1.0"), "200 GET / a []"},
		{"1.2 is served as 1.1", line("HTTP/1.2"), "200 GET / a []"},
		{"1.9 without Host", "GET / HTTP/1.9\r\n\r\n", "400"},
		{"0.9 spelled out", line("HTTP/0.9"), "400"},
		{"2.0", line("HTTP/2.0"), "505"},
		{"3.0", line("HTTP/3.0"), "505"},
		{"9.9", line("HTTP/9.9"), "505"},
		{"no minor", line("HTTP/1"), "400"},
		{"no digits", line("HTTP/."), "400"},
		{"two-digit minor", line("HTTP/1.11"), "400"},
		{"two-digit major", line("HTTP/11.1"), "400"},
		{"leading zero", line("HTTP/01.1"), "400"},
		{"sign", line("HTTP/+1.1"), "400"},
		{"comma", line("HTTP/1,1"), "400"},
		{"other protocol", line("ICY/1.1"), "400"},
		{"mixed case", line("Http/1.1"), "400"},
		{"space after it", line("HTTP/1.1 "), "400"},
		{"two spaces before it", line(" HTTP/1.1"), "400"},
		{"tab before it", "GET /\tHTTP/1.1\r\n" + host + "\r\n", "400"},
		{"CR twice", "GET / HTTP/1.1\r\r\n" + host + "\r\n", "400"},
		{"0.9 of another method", "POST /\r\n", "400"},
		{"0.9 with a bare LF", "GET /nine\n", "GET /nine  []"},
		{"preface with a body", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "400"},
		{"preface as 1.1", "PRI * HTTP/1.1\r\n" + host + "\r\n", "400"},
	})
}

func TestHosts(t *testing.T) {
	named := func(h string) string { return "GET / HTTP/1.1\r\nHost:" + h + "\r\n" + last + "\r\n" }
	runCases(t, "", []rawCase{
		{"port", named(" a:8080"), "200 GET / a []"},
		{"empty port", named(" a:"), "200 GET / a []"},
		{"capitals", named(" ExAmPle.ORG"), "200 GET / example.org []"},
		{"trailing dot", named(" a.example."), "200 GET / a.example []"},
		{"surrounding white space", named(" \t a \t "), "200 GET / a []"},
		{"no space", named("a"), "200 GET / a []"},
		{"IPv4", named(" 127.0.0.1:80"), "200 GET / 127.0.0.1 []"},
		{"IPv6", named(" [2001:db8::1]"), "200 GET / [2001:db8::1] []"},
		{"IPvFuture", named(" [v1.fe80:a]"), "200 GET / [v1.fe80:a] []"},
		{"underscore", named(" a_b"), "200 GET / a_b []"},
		{"escape", named(" a%41"), "200 GET / a%41 []"},
		{"empty", named(""), "400"},
		{"blank", named("   "), "400"},
		{"port only", named(" :80"), "400"},
		{"dot only", named(" ."), "400"},
		{"two dots", named(" a..b"), "400"},
		{"bad escape", named(" a%4x"), "400"},
		{"path", named(" a/b"), "400"},
		{"query", named(" a?b"), "400"},
		{"fragment", named(" a#b"), "400"},
		{"backslash", named(` a\b`), "400"},
		{"user", named(" u:p@a"), "400"},
		{"URL", named(" http://a/"), "400"},
		{"list", named(" a, b"), "400"},
		{"port of letters", named(" a:http"), "400"},
		{"port out of range", named(" a:65536"), "400"},
		{"negative port", named(" a:-1"), "400"},
		{"two ports", named(" a:1:2"), "400"},
		{"IPv6 without brackets", named(" ::1"), "400"},
		{"IPv6 not closed", named(" [::1"), "400"},
		{"IPv6 with a zone", named(" [fe80::1%25eth0]"), "400"},
		{"IPv6 with rubbish behind", named(" [::1]a"), "400"},
		{"IPv6 with too many colons", named(" [::::]"), "400"},
		{"IPv4 in brackets", named(" [1.2.3.4]"), "400"},
		{"empty brackets", named(" []"), "400"},
		{"high byte", named(" \xc3\xa9"), "400"},
		{"control character", named(" a\x01"), "400"},
		{"one good, one empty", "GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n", "400"},
		{"differing in case", "GET / HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n", "400"},
		{"several in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"bad one beside an absolute target", "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
		{"none beside an absolute target", "GET http://b/ HTTP/1.1\r\n\r\n", "400"},
	})
}

func TestFields(t *testing.T) {
	with := func(line string) string { return get + line + "\r\n" + last + "\r\n" }
	const ok = "200 GET / a []"
	runCases(t, "", []rawCase{
		{"empty value", with("X:"), ok},
		{"tab in a value", with("X: a\tb"), ok},
		{"high bytes in a value", with("X: \xff\xfe"), ok},
		{"colons in a value", with("X: a:b:c"), ok},
		{"name with a dot is dropped", with("X.Y: 1"), ok},
		{"name with an underscore is dropped", with("Content_Length: 9"), ok},
		{"name of token bytes is dropped", with("!#$: 1"), ok},
		{"bare LF within", get + "X: 1\nY: 2\r\n" + last + "\r\n", ok},
		{"bare LF ends the head", get + last + "\n", ok},
		{"two spaces after the colon", with("X:  1"), ok},
		{"many", get + strings.Repeat("X: 1\r\n", 400) + last + "\r\n", ok},
		{"fold with a tab", with("X: a\r\n\tb"), "400"},
		{"fold of the first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400"},
		{"fold of nothing", with("X: a\r\n "), "400"},
		{"tab before the colon", with("X\t: 1"), "400"},
		{"space in a name", with("X Y: 1"), "400"},
		{"space before the colon of a length", post + "Content-Length : 3\r\n\r\nabc", "400"},
		{"NUL in a name", with("X\x00: 1"), "400"},
		{"control character in a name", with("X\x01: 1"), "400"},
		{"high byte in a name", with("X\xff: 1"), "400"},
		{"control character in a value", with("X: \x01"), "400"},
		{"escape in a value", with("X: \x1b[0m"), "400"},
		{"delete byte in a value", with("X: \x7f"), "400"},
		{"bare CR before the end", with("X: a\r"), "400"},
		{"bare CR in a name", with("X\rY: a"), "400"},
		{"bare CR hides a field", with("X: a\rTransfer-Encoding: chunked"), "400"},
		{"only a colon", with(":"), "400"},
		{"only a word", with("GET / HTTP/1.1"), "400"},
		{"bad in a dropped field too", with("X.Y: \x00"), "400"},
		{"too long a field", with("X: " + long(8300)), "400"},
		{"too long a name", with(long(8300) + ": 1"), "400"},
		{"too many together", get + strings.Repeat("X: "+long(4000)+"\r\n", 10) + "\r\n", "400"},
		{"within the bound together", get + strings.Repeat("X: "+long(4000)+"\r\n", 7) + last + "\r\n", ok},
		{"unknown expectation in 1.0 means nothing", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", "200 GET /  []"},
	})
	runCases(t, "ignore_invalid_headers off;", []rawCase{
		{"an invalid name is refused", with("X@Y: 1"), "400"},
		{"an underscore is refused", with("X_Y: 1"), "400"},
	})
	runCases(t, "ignore_invalid_headers off; underscores_in_headers on;", []rawCase{
		{"an underscore is taken", with("X_Y: 1"), ok},
	})
	runCases(t, "client_header_buffer_size 256; large_client_header_buffers 1 256;", []rawCase{
		{"what follows a head is not the head's size", post + "Content-Length: 3000\r\n" + last + "\r\n" + long(3000), "200 POST / a [" + long(3000) + "]"},
		{"pipelined heads count apart", strings.Repeat(get+"\r\n", 30) + next, strings.Repeat("200 GET / a [] ", 30) + "200 GET /next a []"},
		{"small buffers bound a line", with("X: " + long(300)), "400"},
		{"small buffers bound a target", "GET /" + long(300) + " HTTP/1.1\r\n" + host + "\r\n", "414"},
	})
}

func TestLengths(t *testing.T) {
	body := func(fields, body string) string { return post + fields + last + "\r\n" + body }
	runCases(t, "", []rawCase{
		{"zero", body("Content-Length: 0\r\n", ""), "200 POST / a []"},
		{"leading zeros", body("Content-Length: 0003\r\n", "abc"), "200 POST / a [abc]"},
		{"white space around", body("Content-Length: \t 3 \t\r\n", "abc"), "200 POST / a [abc]"},
		{"of a GET", get + "Content-Length: 3\r\n" + last + "\r\nabc", "200 GET / a [abc]"},
		{"none means no body", post + "\r\n" + next, "200 POST / a [] 200 GET /next a []"},
		{"negative", body("Content-Length: -3\r\n", "abc"), "400"},
		{"fraction", body("Content-Length: 3.0\r\n", "abc"), "400"},
		{"exponent", body("Content-Length: 3e0\r\n", "abc"), "400"},
		{"space within", body("Content-Length: 1 1\r\n", "abc"), "400"},
		{"underscore within", body("Content-Length: 1_1\r\n", "abc"), "400"},
		{"letters after", body("Content-Length: 3abc\r\n", "abc"), "400"},
		{"one past int64", body("Content-Length: 9223372036854775808\r\n", "abc"), "400"},
		{"wraps around 2^64", body("Content-Length: 18446744073709551619\r\n", "abc"), "400"},
		{"differing", body("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), "400"},
		{"differing in 1.0", "POST / HTTP/1.0\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"},
		{"list of two", body("Content-Length: 3, 4\r\n", "abcd"), "400"},
		{"past client_max_body_size", body("Content-Length: 1048577\r\n", ""), "413"},
		{"with a coding before", body("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), "400"},
		{"with an unknown coding", body("Content-Length: 3\r\nTransfer-Encoding: x\r\n", "abc"), "501"},
		{"coding with white space", body("Transfer-Encoding: \tchunked \r\n", "0\r\n\r\n"), "200 POST / a []"},
		{"coding in capitals", body("TRANSFER-ENCODING: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n"), "200 POST / a [a]"},
		{"coding identity", body("Transfer-Encoding: identity\r\n", "abc"), "501"},
		{"coding empty", body("Transfer-Encoding:\r\n", "abc"), "501"},
		{"coding twice in a list", body("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), "501"},
		{"coding not last", body("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), "501"},
		{"coding with a parameter", body("Transfer-Encoding: chunked;x=y\r\n", "0\r\n\r\n"), "501"},
		{"coding in quotes", body("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), "501"},
		{"coding with a vertical tab", body("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), "400"},
		{"coding with a high byte", body("Transfer-Encoding: chun\xebed\r\n", "0\r\n\r\n"), "501"},
		{"coding in a name that is dropped", body("Transfer_Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), "200 POST / a [abc]"},
	})
}

func TestChunks(t *testing.T) {
	runCases(t, "", []rawCase{
		{"none", chunked + "0\r\n\r\n", "200 POST / a []"},
		{"capitals", chunked + "A\r\n0123456789\r\n0\r\n\r\n", "200 POST / a [0123456789]"},
		{"leading zeros", chunked + "003\r\nabc\r\n000\r\n\r\n", "200 POST / a [abc]"},
		{"many small", chunked + strings.Repeat("1\r\na\r\n", 2000) + "0\r\n\r\n", "200 POST / a [" + long(2000) + "]"},
		{"one large", chunked + "4e20\r\n" + long(20000) + "\r\n0\r\n\r\n", "200 POST / a [" + long(20000) + "]"},
		{"CRLF as data", chunked + "2\r\n\r\n\r\n0\r\n\r\n", "200 POST / a [\r\n]"},
		{"extension", chunked + "3;a=b;c=\"d;e\"\r\nabc\r\n0;f\r\n\r\n", "200 POST / a [abc]"},
		{"white space before an extension", chunked + "3 \t;a\r\nabc\r\n0\r\n\r\n", "200 POST / a [abc]"},
		{"trailers", chunked + "0\r\nX: 1\r\nY: 2\r\n\r\n", "200 POST / a []"},
		{"trailers that name framing are dropped", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 50\r\nHost: b\r\n\r\n" + next, "200 POST / a [] 200 GET /next a []"},
		{"no size", chunked + "\r\nabc\r\n", "400"},
		{"prefix 0x", chunked + "0x3\r\nabc\r\n", "400"},
		{"negative", chunked + "-3\r\nabc\r\n", "400"},
		{"plus", chunked + "+3\r\nabc\r\n", "400"},
		{"leading space", chunked + " 3\r\nabc\r\n", "400"},
		{"space after the size", chunked + "3 x\r\nabc\r\n", "400"},
		{"underscore", chunked + "1_0\r\n", "400"},
		{"2^63", chunked + "8000000000000000\r\n", "400"},
		{"2^64 and one", chunked + "10000000000000001\r\na\r\n0\r\n\r\n", "400"},
		{"bare LF after the size", chunked + "3\nabc\r\n0\r\n\r\n", "400"},
		{"bare CR after the size", chunked + "3\rabc\r\n0\r\n\r\n", "400"},
		{"bare LF after the data", chunked + "3\r\nabc\n0\r\n\r\n", "400"},
		{"bare CR after the data", chunked + "3\r\nabc\r0\r\n\r\n", "400"},
		{"bare LF in an extension", chunked + "3;a\nabc\r\n0\r\n\r\n", "400"},
		{"control character in an extension", chunked + "3;a\x00\r\nabc\r\n0\r\n\r\n", "400"},
		{"more data than the size", chunked + "1\r\nab\r\n0\r\n\r\n", "400"},
		{"less data than the size", chunked + "5\r\nabc\r\n0\r\n\r\nx", "400"},
		{"end without trailers' line", chunked + "0\r\nGET / HTTP/1.1\r\n\r\n", "400"},
		{"bare LF ends the trailers", chunked + "0\r\n\n", "400"},
		{"bare LF in the trailers", chunked + "0\r\nX: 1\n\r\n", "400"},
		{"trailer without a name", chunked + "0\r\n: 1\r\n\r\n", "400"},
		{"trailer with a space before the colon", chunked + "0\r\nX : 1\r\n\r\n", "400"},
		{"folded trailer", chunked + "0\r\nX: 1\r\n y\r\n\r\n", "400"},
		{"NUL in a trailer", chunked + "0\r\nX: \x00\r\n\r\n", "400"},
		{"too large trailers", chunked + "0\r\n" + strings.Repeat("X: "+long(100)+"\r\n", 100) + "\r\n", "400"},
		{"past client_max_body_size", chunked + "200000\r\n" + long(1<<20+1), "413"},
		{"extensions together", chunked + strings.Repeat("1;"+long(1000)+"\r\na\r\n", 100) + "0\r\n\r\n", "400"},
		{"ends in the size", chunked + "3", "-"},
		{"ends in the data", chunked + "3\r\nab", "-"},
		{"ends before the last chunk", chunked + "3\r\nabc\r\n", "-"},
	})
}

func TestPipelines(t *testing.T) {
	one := "200 GET / a [] "
	runCases(t, "", []rawCase{
		{"many", strings.Repeat(get+"\r\n", 200) + next, strings.Repeat(one, 200) + "200 GET /next a []"},
		{"behind chunks", post + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + next, "200 POST / a [abc] 200 GET /next a []"},
		{"behind a body and empty lines", post + "Content-Length: 1\r\n\r\na\r\n\r\n" + next, "200 POST / a [a] 200 GET /next a []"},
		{"nothing after Connection: close", get + last + "\r\n" + next, "200 GET / a []"},
		{"nothing after an error", get + "X\r\n\r\n" + next, "400"},
		{"nothing after a malformed body", post + "Transfer-Encoding: chunked\r\n\r\nz\r\n" + next, "400"},
		{"nothing after 1.0", "GET / HTTP/1.0\r\n" + host + "\r\n" + next, "200 GET / a []"},
		{"after 1.0 with keep-alive", "GET / HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n\r\n" + next, "200 GET / a [] 200 GET /next a []"},
		{"an error behind a good one", get + "\r\nGET\r\n\r\n", one + "400"},
		{"close among other options", get + "Connection: x , CLOSE\r\n\r\n" + next, "200 GET / a []"},
		{"close in a second field", get + "Connection: keep-alive\r\nConnection: close\r\n\r\n" + next, "200 GET / a []"},
		{"a word that contains close", get + "Connection: closed\r\n\r\n" + next, one + "200 GET /next a []"},
		{"HEAD has no body", "HEAD / HTTP/1.1\r\n" + host + last + "\r\n", "200"},
		{"too many empty lines", strings.Repeat("\r\n", 20) + next, "400"},
		{"a lone CR is no empty line", "\r" + next, "400"},
		{"empty lines alone", "\r\n\r\n", "-"},
		{"nothing at all", "", "-"},
	})
}

func TestExpectations(t *testing.T) {
	expect := func(version, fields, body string) string {
		return "POST / HTTP/" + version + "\r\n" + host + last + fields + "\r\n" + body
	}
	runCases(t, "", []rawCase{
		{"in capitals", expect("1.1", "EXPECT: 100-Continue\r\nContent-Length: 1\r\n", "a"), "100 200 POST / a [a]"},
		{"with chunks", expect("1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"), "100 200 POST / a [a]"},
		{"without a body", expect("1.1", "Expect: 100-continue\r\n", ""), "200 POST / a []"},
		{"with an empty body", expect("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", ""), "200 POST / a []"},
		{"of 1.0", expect("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", "a"), "200 POST / a [a]"},
		{"with a body too large", expect("1.1", "Expect: 100-continue\r\nContent-Length: 9999999\r\n", ""), "413"},
		{"another too", expect("1.1", "Expect: 100-continue, x\r\nContent-Length: 1\r\n", "a"), "417"},
	})
}
