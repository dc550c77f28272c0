package http1_test

import (
	"strings"
	"testing"
)

func TestFieldsAreReadStrictly(t *testing.T) {
	with := func(line string) string { return get + line + "\r\n" + last + "\r\n" }
	const ok = "200 GET / a []"
	runCases(t, "", "RFC 9112 section 5: field-name \":\" OWS field-value OWS", []wireCase{
		same("empty value", with("X:"), ok+" closed"),
		same("tab in a value", with("X: a\tb"), ok+" closed"),
		same("high bytes in a value", with("X: \xff\xfe"), ok+" closed"),
		same("colons in a value", with("X: a:b:c"), ok+" closed"),
		same("name with a dot is dropped", with("X.Y: 1"), ok+" closed"),
		same("name with an underscore is dropped", with("Content_Length: 9"), ok+" closed"),
		same("name of token bytes is dropped", with("!#$: 1"), ok+" closed"),
		same("bare LF within", get+"X: 1\nY: 2\r\n"+last+"\r\n", ok+" closed"),
		same("bare LF ends the head", get+last+"\n", ok+" closed"),
		same("two spaces after the colon", with("X:  1"), ok+" closed"),
		same("many", get+strings.Repeat("X: 1\r\n", 400)+last+"\r\n", ok+" closed"),
		same("fold with a tab", with("X: a\r\n\tb"), "400 closed"),
		same("fold of the first line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 closed"),
		same("fold of nothing", with("X: a\r\n "), "400 closed"),
		same("tab before the colon", with("X\t: 1"), "400 closed"),
		same("space in a name", with("X Y: 1"), "400 closed"),
		same("space before the colon of a length", post+"Content-Length : 3\r\n\r\nabc", "400 closed"),
		same("NUL in a name", with("X\x00: 1"), "400 closed"),
		same("control character in a name", with("X\x01: 1"), "400 closed"),
		ours("high byte in a name", with("X\xff: 1"), "400 closed", "200 GET / a [] closed", "RFC 9110 section 5.1: no token; nginx drops the line"),
		ours("control character in a value", with("X: \x01"), "400 closed", "200 GET / a [] closed", "RFC 9110 section 5.5: invalid; nginx refuses only NUL and line ends"),
		ours("escape in a value", with("X: \x1b[0m"), "400 closed", "200 GET / a [] closed", "RFC 9110 section 5.5: invalid; nginx refuses only NUL and line ends"),
		ours("delete byte in a value", with("X: \x7f"), "400 closed", "200 GET / a [] closed", "RFC 9110 section 5.5: invalid; nginx refuses only NUL and line ends"),
		ours("bare CR before the end", with("X: a\r"), "400 closed", "200 GET / a [] closed", "RFC 9112 section 2.2: a bare CR is invalid; nginx takes CR CR LF for a line end"),
		same("bare CR in a name", with("X\rY: a"), "400 closed"),
		same("bare CR hides a field", with("X: a\rTransfer-Encoding: chunked"), "400 closed"),
		same("only a colon", with(":"), "400 closed"),
		same("only a word", with("GET / HTTP/1.1"), "400 closed"),
		same("bad in a dropped field too", with("X.Y: \x00"), "400 closed"),
		same("too long a field", with("X: "+long(8300)), "400 closed"),
		same("too long a name", with(long(8300)+": 1"), "400 closed"),
		same("too many together", get+strings.Repeat("X: "+long(4000)+"\r\n", 10)+"\r\n", "400 closed"),
		same("within the bound together", get+strings.Repeat("X: "+long(4000)+"\r\n", 7)+last+"\r\n", ok+" closed"),
		same("unknown expectation in 1.0 means nothing", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", "200 GET /  [] closed"),
		same("NUL in a value", with("X: a\x00b"), "400 closed"),
		same("NUL alone", with("X: \x00"), "400 closed"),
		same("bare CR in a value", with("X: a\rb"), "400 closed"),
		same("bare CR alone", with("\r"), "400 closed"),
		same("bare CR first", with("\rX: a"), "400 closed"),
		same("LF CR between fields", get+"X: 1\n\rY: 2\r\n"+last+"\r\n", "400 closed"),
		ours("form feed in a value", with("X: a\x0cb"), "400 closed", ok+" closed", "RFC 9110 section 5.5: invalid; nginx refuses only NUL and line ends"),
		ours("vertical tab in a value", with("X: a\x0bb"), "400 closed", ok+" closed", "RFC 9110 section 5.5: invalid; nginx refuses only NUL and line ends"),
		same("vertical tab in a name", with("X\x0b: a"), "400 closed"),
		same("delete byte in a name", with("X\x7f: a"), "400 closed"),
		same("space before the colon", with("X : 1"), "400 closed"),
		same("space first", with(" X: 1"), "400 closed"),
		same("tab first", with("\tX: 1"), "400 closed"),
		same("white space alone", with("  "), "400 closed"),
		same("fold with a space", with("X: a\r\n b"), "400 closed"),
		same("fold behind a bare LF", with("X: a\n b"), "400 closed"),
		ours("no-break space before the colon", with("X\xc2\xa0: 1"), "400 closed", ok+" closed", "RFC 9110 section 5.1: no token; nginx drops the line"),
		ours("byte order mark first", with("\xef\xbb\xbfX: 1"), "400 closed", ok+" closed", "RFC 9110 section 5.1: no token; nginx drops the line"),
		same("quotes in a name are dropped", with("\"X\": 1"), ok+" closed"),
		same("brackets in a name are dropped", with("X[0]: 1"), ok+" closed"),
		same("slash in a name is dropped", with("X/Y: 1"), ok+" closed"),
		same("unbalanced quotes in a value", with("X: \"a"), ok+" closed"),
		same("only white space as a value", with("X: \t "), ok+" closed"),
		same("name of one byte", with("x:1"), ok+" closed"),
		same("name of digits", with("1: 1"), ok+" closed"),
		same("name of hyphens", with("--: 1"), ok+" closed"),
		same("the same name often", with(strings.Repeat("X: 1\r\n", 100)+"Y: 1"), ok+" closed"),
		same("long line that fits", with("X: "+long(8000)), ok+" closed"),
		ours("control character behind eight good bytes", with("X: 12345678\x0112345678"), "400 closed", ok+" closed", "RFC 9110 section 5.5: invalid; nginx refuses only NUL and line ends"),
		ours("delete byte behind eight good bytes", with("X: 12345678\x7f12345678"), "400 closed", ok+" closed", "RFC 9110 section 5.5: invalid; nginx refuses only NUL and line ends"),
		same("tab behind eight good bytes", with("X: 12345678\t12345678"), ok+" closed"),
		same("high bytes behind eight good ones", with("X: 12345678\x80\xff\xa0\x89\x8a\x8d\x90\x9f"), ok+" closed"),
		ours("a head that ends in the middle", get+"X: 1", "400 ended", "ended", "RFC 9112 section 8: an answer may come before the end; nginx sends none"),
		ours("a head that ends in a name", get+"X", "400 ended", "ended", "RFC 9112 section 8: an answer may come before the end; nginx sends none"),
		ours("a head that lacks its empty line", get+"X: 1\r\n", "400 ended", "ended", "RFC 9112 section 8: an answer may come before the end; nginx sends none"),
		ours("a head that lacks its last byte", get+"X: 1\r\n\r", "400 ended", "ended", "RFC 9112 section 8: an answer may come before the end; nginx sends none"),
	})
	runCases(t, "ignore_invalid_headers off;", "RFC 9112 section 5: field-name \":\" OWS field-value OWS", []wireCase{
		same("an invalid name is passed on", with("X@Y: 1"), ok+" closed"),
		same("an underscore is passed on", with("X_Y: 1"), ok+" closed"),
	})
	runCases(t, "ignore_invalid_headers off; underscores_in_headers on;", "RFC 9112 section 5: field-name \":\" OWS field-value OWS", []wireCase{
		same("an underscore is taken", with("X_Y: 1"), ok+" closed"),
	})
	runCases(t, "client_header_buffer_size 256; large_client_header_buffers 1 256;", "RFC 9112 section 5: field-name \":\" OWS field-value OWS", []wireCase{
		same("what follows a head is not the head's size", post+"Content-Length: 3000\r\n"+last+"\r\n"+long(3000), "200 POST / a ["+long(3000)+"] closed"),
		ours("pipelined heads count apart", strings.Repeat(get+"\r\n", 30), strings.Repeat("200 GET / a [] ", 30)+"open", "-", "nginx has one buffer more than it says, and runs out of them"),
		same("small buffers bound a line", with("X: "+long(300)), "400 closed"),
		same("small buffers bound a target", "GET /"+long(300)+" HTTP/1.1\r\n"+host+"\r\n", "414 closed"),
	})
}
