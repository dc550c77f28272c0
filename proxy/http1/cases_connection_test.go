package http1_test

import (
	"strings"
	"testing"
)

func TestPipelines(t *testing.T) {
	one := "200 GET / a [] "
	runCases(t, "", "RFC 9112 section 9.3", []wireCase{
		same("many", strings.Repeat(get+"\r\n", 200)+next, strings.Repeat(one, 200)+"200 GET /next a [] closed"),
		same("behind chunks", post+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "200 POST / a [abc] open"),
		same("behind a body and empty lines", post+"Content-Length: 1\r\n\r\na\r\n\r\n", "200 POST / a [a] open"),
		same("nothing after Connection: close", get+last+"\r\n"+next, "200 GET / a [] closed"),
		ours("nothing after an error", get+"X\r\n\r\n"+next, "400 closed", "200 GET / a [] 200 GET /next a [] closed", "RFC 9112 section 5.1: no colon, no field; nginx drops the line"),
		same("nothing after a malformed body", post+"Transfer-Encoding: chunked\r\n\r\nz\r\n"+next, "400 closed"),
		same("nothing after 1.0", "GET / HTTP/1.0\r\n"+host+"\r\n"+next, "200 GET / a [] closed"),
		same("after 1.0 with keep-alive", "GET / HTTP/1.0\r\n"+host+"Connection: keep-alive\r\n\r\n", "200 GET / a [] open"),
		same("an error behind a good one", get+"\r\nGET\r\n\r\n", one+"400 closed"),
		same("close among other options", get+"Connection: x , CLOSE\r\n\r\n"+next, "200 GET / a [] closed"),
		same("close in a second field", get+"Connection: keep-alive\r\nConnection: close\r\n\r\n"+next, "200 GET / a [] closed"),
		ours("a word that contains close", get+"Connection: closed\r\n\r\n"+next, one+"200 GET /next a [] closed", "200 GET / a [] closed", "RFC 9110 section 7.6.1: options are compared whole; nginx looks for the letters"),
		same("HEAD has no body", "HEAD / HTTP/1.1\r\n"+host+last+"\r\n", "200 closed"),
		ours("too many empty lines", strings.Repeat("\r\n", 20)+next, "400 closed", "200 GET /next a [] closed", "RFC 9112 section 2.2: at least one is skipped; we skip 8, nginx any number"),
		ours("a lone CR is no empty line", "\r"+next, "400 closed", "200 GET /next a [] closed", "RFC 9112 section 2.2: a bare CR is invalid"),
		same("empty lines alone", "\r\n\r\n", "open"),
		same("nothing at all", "", "open"),
	})
}

func TestExpectations(t *testing.T) {
	expect := func(version, fields, body string) string {
		return "POST / HTTP/" + version + "\r\n" + host + last + fields + "\r\n" + body
	}
	runCases(t, "", "RFC 9110 section 10.1.1", []wireCase{
		same("in capitals", expect("1.1", "EXPECT: 100-Continue\r\nContent-Length: 1\r\n", "a"), "100 200 POST / a [a] closed"),
		same("with chunks", expect("1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"), "100 200 POST / a [a] closed"),
		ours("without a body", expect("1.1", "Expect: 100-continue\r\n", ""), "200 POST / a [] closed", "100 200 POST / a [] closed", "RFC 9110 section 10.1.1: 100 may be left out when there is no body"),
		ours("with an empty body", expect("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", ""), "200 POST / a [] closed", "100 200 POST / a [] closed", "RFC 9110 section 10.1.1: 100 may be left out when there is no body"),
		same("of 1.0", expect("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", "a"), "200 POST / a [a] closed"),
		same("with a body too large", expect("1.1", "Expect: 100-continue\r\nContent-Length: 9999999\r\n", ""), "413 closed"),
		ours("another too", expect("1.1", "Expect: 100-continue, x\r\nContent-Length: 1\r\n", "a"), "417 closed", "200 POST / a [a] closed", "RFC 9110 section 10.1.1: 417 for what is not understood; nginx takes no notice"),
	})
}
