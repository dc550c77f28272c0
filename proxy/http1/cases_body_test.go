package http1_test

import (
	"strings"
	"testing"
)

func TestLengthsOfBodiesAreReadStrictly(t *testing.T) {
	body := func(fields, body string) string { return post + fields + last + "\r\n" + body }
	runCases(t, "", "RFC 9112 section 6: lengths that two readers could see differently are refused", []wireCase{
		same("zero", body("Content-Length: 0\r\n", ""), "200 POST / a [] closed"),
		same("leading zeros", body("Content-Length: 0003\r\n", "abc"), "200 POST / a [abc] closed"),
		ours("white space around", body("Content-Length: \t 3 \t\r\n", "abc"), "200 POST / a [abc] closed", "400 closed", "RFC 9110 section 5.5: tabs are white space; nginx knows spaces"),
		same("of a GET", get+"Content-Length: 3\r\n"+last+"\r\nabc", "200 GET / a [abc] closed"),
		same("none means no body", post+"\r\n", "200 POST / a [] open"),
		same("negative", body("Content-Length: -3\r\n", "abc"), "400 closed"),
		same("fraction", body("Content-Length: 3.0\r\n", "abc"), "400 closed"),
		same("exponent", body("Content-Length: 3e0\r\n", "abc"), "400 closed"),
		same("space within", body("Content-Length: 1 1\r\n", "abc"), "400 closed"),
		same("underscore within", body("Content-Length: 1_1\r\n", "abc"), "400 closed"),
		same("letters after", body("Content-Length: 3abc\r\n", "abc"), "400 closed"),
		same("one past int64", body("Content-Length: 9223372036854775808\r\n", "abc"), "400 closed"),
		same("wraps around 2^64", body("Content-Length: 18446744073709551619\r\n", "abc"), "400 closed"),
		same("differing", body("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), "400 closed"),
		same("differing in 1.0", "POST / HTTP/1.0\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400 closed"),
		same("list of two", body("Content-Length: 3, 4\r\n", "abcd"), "400 closed"),
		same("past client_max_body_size", body("Content-Length: 1048577\r\n", ""), "413 closed"),
		same("with a coding before", body("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), "400 closed"),
		same("with an unknown coding", body("Content-Length: 3\r\nTransfer-Encoding: x\r\n", "abc"), "501 closed"),
		ours("coding with white space", body("Transfer-Encoding: \tchunked \r\n", "0\r\n\r\n"), "200 POST / a [] closed", "501 closed", "RFC 9110 section 5.5: tabs are white space; nginx knows spaces"),
		same("coding in capitals", body("TRANSFER-ENCODING: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n"), "200 POST / a [a] closed"),
		same("coding identity", body("Transfer-Encoding: identity\r\n", "abc"), "501 closed"),
		same("coding empty", body("Transfer-Encoding:\r\n", "abc"), "501 closed"),
		same("coding twice in a list", body("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), "501 closed"),
		same("coding not last", body("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), "501 closed"),
		same("coding with a parameter", body("Transfer-Encoding: chunked;x=y\r\n", "0\r\n\r\n"), "501 closed"),
		same("coding in quotes", body("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), "501 closed"),
		ours("coding with a vertical tab", body("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), "400 closed", "501 closed", "RFC 9110 section 5.5: a control character comes first"),
		same("coding with a high byte", body("Transfer-Encoding: chun\xebed\r\n", "0\r\n\r\n"), "501 closed"),
		same("coding in a name that is dropped", body("Transfer_Encoding: chunked\r\nContent-Length: 3\r\n", "abc"), "200 POST / a [abc] closed"),
	})
}

func TestChunksAreReadStrictly(t *testing.T) {
	runCases(t, "", "RFC 9112 section 7.1: chunk-size [chunk-ext] CRLF data CRLF", []wireCase{
		same("none", chunked+"0\r\n\r\n", "200 POST / a [] closed"),
		same("capitals", chunked+"A\r\n0123456789\r\n0\r\n\r\n", "200 POST / a [0123456789] closed"),
		same("leading zeros", chunked+"003\r\nabc\r\n000\r\n\r\n", "200 POST / a [abc] closed"),
		same("many small", chunked+strings.Repeat("1\r\na\r\n", 2000)+"0\r\n\r\n", "200 POST / a ["+long(2000)+"] closed"),
		same("one large", chunked+"4e20\r\n"+long(20000)+"\r\n0\r\n\r\n", "200 POST / a ["+long(20000)+"] closed"),
		same("CRLF as data", chunked+"2\r\n\r\n\r\n0\r\n\r\n", "200 POST / a [\r\n] closed"),
		same("extension", chunked+"3;a=b;c=\"d;e\"\r\nabc\r\n0;f\r\n\r\n", "200 POST / a [abc] closed"),
		same("white space before an extension", chunked+"3 \t;a\r\nabc\r\n0\r\n\r\n", "200 POST / a [abc] closed"),
		same("trailers", chunked+"0\r\nX: 1\r\nY: 2\r\n\r\n", "200 POST / a [] closed"),
		same("trailers that name framing are dropped", post+"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 50\r\nHost: b\r\n\r\n", "200 POST / a [] open"),
		same("no size", chunked+"\r\nabc\r\n", "400 closed"),
		same("prefix 0x", chunked+"0x3\r\nabc\r\n", "400 closed"),
		same("negative", chunked+"-3\r\nabc\r\n", "400 closed"),
		same("plus", chunked+"+3\r\nabc\r\n", "400 closed"),
		same("leading space", chunked+" 3\r\nabc\r\n", "400 closed"),
		same("space after the size", chunked+"3 x\r\nabc\r\n", "400 closed"),
		same("underscore", chunked+"1_0\r\n", "400 closed"),
		same("2^63", chunked+"8000000000000000\r\n", "400 closed"),
		same("2^64 and one", chunked+"10000000000000001\r\na\r\n0\r\n\r\n", "400 closed"),
		ours("bare LF after the size", chunked+"3\nabc\r\n0\r\n\r\n", "400 closed", "200 POST / a [abc] closed", "RFC 9112 section 7.1: framing is CRLF; nginx 1.22 also takes LF"),
		same("bare CR after the size", chunked+"3\rabc\r\n0\r\n\r\n", "400 closed"),
		ours("bare LF after the data", chunked+"3\r\nabc\n0\r\n\r\n", "400 closed", "200 POST / a [abc] closed", "RFC 9112 section 7.1: framing is CRLF; nginx 1.22 also takes LF"),
		same("bare CR after the data", chunked+"3\r\nabc\r0\r\n\r\n", "400 closed"),
		ours("bare LF in an extension", chunked+"3;a\nabc\r\n0\r\n\r\n", "400 closed", "200 POST / a [abc] closed", "RFC 9112 section 7.1: framing is CRLF; nginx 1.22 also takes LF"),
		ours("control character in an extension", chunked+"3;a\x00\r\nabc\r\n0\r\n\r\n", "400 closed", "200 POST / a [abc] closed", "RFC 9112 section 7.1.1; nginx drops extensions unread"),
		same("more data than the size", chunked+"1\r\nab\r\n0\r\n\r\n", "400 closed"),
		same("less data than the size", chunked+"5\r\nabc\r\n0\r\n\r\nx", "400 closed"),
		ours("end without trailers' line", chunked+"0\r\nGET / HTTP/1.1\r\n\r\n", "400 closed", "200 POST / a [] closed", "RFC 9112 section 7.1.2: a trailer line is a field; nginx drops them unread"),
		ours("bare LF ends the trailers", chunked+"0\r\n\n", "400 closed", "200 POST / a [] closed", "RFC 9112 section 7.1: CRLF"),
		ours("bare LF in the trailers", chunked+"0\r\nX: 1\n\r\n", "400 closed", "200 POST / a [] closed", "RFC 9112 section 7.1: framing is CRLF; nginx 1.22 also takes LF"),
		ours("trailer without a name", chunked+"0\r\n: 1\r\n\r\n", "400 closed", "200 POST / a [] closed", "RFC 9112 section 7.1.2: trailers are fields; nginx drops them unread"),
		ours("trailer with a space before the colon", chunked+"0\r\nX : 1\r\n\r\n", "400 closed", "200 POST / a [] closed", "RFC 9112 section 7.1.2: trailers are fields; nginx drops them unread"),
		ours("folded trailer", chunked+"0\r\nX: 1\r\n y\r\n\r\n", "400 closed", "200 POST / a [] closed", "RFC 9112 section 7.1.2: trailers are fields; nginx drops them unread"),
		ours("NUL in a trailer", chunked+"0\r\nX: \x00\r\n\r\n", "400 closed", "200 POST / a [] closed", "RFC 9112 section 7.1.2: trailers are fields; nginx drops them unread"),
		ours("too large trailers", chunked+"0\r\n"+strings.Repeat("X: "+long(100)+"\r\n", 100)+"\r\n", "400 closed", "200 POST / a [] closed", "RFC 9112 section 7.1.2: bounded, 8 KB; nginx drops any amount"),
		same("past client_max_body_size", chunked+"200000\r\n"+long(1<<20+1), "413 closed"),
		ours("extensions together", chunked+strings.Repeat("1;"+long(1000)+"\r\na\r\n", 100)+"0\r\n\r\n", "400 closed", "200 POST / a ["+long(100)+"] closed", "RFC 9112 section 7.1.1: bounded, 1 KB a chunk and 16 KB a body; nginx drops any amount"),
		same("ends in the size", chunked+"3", "ended"),
		same("ends in the data", chunked+"3\r\nab", "ended"),
		same("ends before the last chunk", chunked+"3\r\nabc\r\n", "ended"),
	})
}
