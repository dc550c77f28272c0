package http1_test

import (
	"strings"
	"testing"
)

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
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
		same("1.1 stays open", get+"\r\n", one+"open"),
		same("1.1 with keep-alive stays open", get+"Connection: keep-alive\r\n\r\n", one+"open"),
		same("1.2 stays open", "GET / HTTP/1.2\r\n"+host+"\r\n", one+"open"),
		same("1.1 with close", get+"Connection: close\r\n\r\n", one+"closed"),
		same("1.0 closes", "GET / HTTP/1.0\r\n"+host+"\r\n", one+"closed"),
		same("1.0 with keep-alive stays open", "GET / HTTP/1.0\r\n"+host+"Connection: Keep-Alive\r\n\r\n", one+"open"),
		same("1.0 with another option", "GET / HTTP/1.0\r\n"+host+"Connection: x\r\n\r\n", one+"closed"),
		same("1.0 with Proxy-Connection", "GET / HTTP/1.0\r\n"+host+"Proxy-Connection: keep-alive\r\n\r\n", one+"closed"),
		same("1.0 with a Keep-Alive field alone", "GET / HTTP/1.0\r\n"+host+"Keep-Alive: timeout=5\r\n\r\n", one+"closed"),
		same("close and keep-alive", get+"Connection: close, keep-alive\r\n\r\n", one+"closed"),
		same("keep-alive and close", get+"Connection: keep-alive, close\r\n\r\n", one+"closed"),
		ours("close and keep-alive in two fields", get+"Connection: close\r\nConnection: keep-alive\r\n\r\n", one+"closed", one+"open", "RFC 9112 section 9.3: close decides; nginx goes by the last field"),
		same("close and keep-alive in 1.0", "GET / HTTP/1.0\r\n"+host+"Connection: close, keep-alive\r\n\r\n", one+"closed"),
		same("an empty Connection", get+"Connection:\r\n\r\n", one+"open"),
		same("an upgrade that nobody makes", get+"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", one+"open"),
		same("one CRLF behind a body", post+"Content-Length: 1\r\n\r\na\r\n", "200 POST / a [a] open"),
		same("two bytes too many behind a body", post+"Content-Length: 1\r\n\r\naXY", "200 POST / a [a] 200 XYGET /probe a [] closed"),
		same("a body one byte short takes the next line", post+"Content-Length: 3\r\n"+last+"\r\nab", "200 POST / a [abG] closed"),
		same("0.9 closes", "GET /nine\r\n", "GET /nine  [] closed"),
		same("0.9 behind 1.1", get+"\r\nGET /nine\r\n", one+"GET /nine  [] closed"),
		same("nothing after 400", "GET / HTTP/1.1\r\n\r\n", "400 closed"),
		same("nothing after 413", post+"Content-Length: 9999999\r\n\r\n", "413 closed"),
		same("nothing after 414", "GET /"+long(9000)+" HTTP/1.1\r\n"+host+"\r\n", "414 closed"),
		same("nothing after 501", post+"Transfer-Encoding: x\r\n\r\n", "501 closed"),
		same("nothing after 505", "GET / HTTP/2.0\r\n"+host+"\r\n", "505 closed"),
		same("nothing after 405 of CONNECT", "CONNECT / HTTP/1.1\r\n"+host+"\r\n", "405 closed"),
		same("nothing after 405 of TRACE", "TRACE / HTTP/1.1\r\n"+host+"\r\n", "405 closed"),
		same("the client ends behind one", get+"\r\n", one+"ended"),
		same("the client ends behind several", strings.Repeat(get+"\r\n", 5), strings.Repeat(one, 5)+"ended"),
		ours("the client ends in the second", get+"\r\nGET / HT", one+"400 ended", one+"ended", "RFC 9112 section 8: an answer may come before the end; nginx sends none"),
		same("the client ends behind an empty line", get+"\r\n\r\n", one+"ended"),
		same("the client ends in a body", post+"Content-Length: 5\r\n\r\nab", "ended"),
		same("the client ends in a chunk", coded+"5\r\nab", "ended"),
		same("the client ends in the trailers", coded+"0\r\nX: 1\r\n", "ended"),
		same("the client ends behind a body", post+"Content-Length: 2\r\n\r\nab", "200 POST / a [ab] ended"),
		same("the client ends behind chunks", coded+"2\r\nab\r\n0\r\n\r\n", "200 POST / a [ab] ended"),
		same("the client says nothing", "", "ended"),
		same("the client says an empty line", "\r\n", "ended"),
	})
}

func TestExpectationsAreMetOrRefused(t *testing.T) {
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
		ours("unknown", expect("1.1", "Expect: wonders\r\nContent-Length: 1\r\n", "a"), "417 closed", "200 POST / a [a] closed", "RFC 9110 section 10.1.1: 417 for what is not understood; nginx takes no notice"),
		ours("unknown without a body", expect("1.1", "Expect: wonders\r\n", ""), "417 closed", "200 POST / a [] closed", "RFC 9110 section 10.1.1: 417 for what is not understood; nginx takes no notice"),
		ours("unknown with a body too large", expect("1.1", "Expect: wonders\r\nContent-Length: 9999999\r\n", ""), "417 closed", "413 closed", "RFC 9110 section 10.1.1: 417 for what is not understood; nginx takes no notice"),
		same("empty", expect("1.1", "Expect:\r\nContent-Length: 1\r\n", "a"), "200 POST / a [a] closed"),
		ours("twice", expect("1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n", "a"), "100 200 POST / a [a] closed", "400 closed", "RFC 9110 section 10.1.1: a list; nginx 1.22 takes one field"),
		ours("a known and an unknown one", expect("1.1", "Expect: 100-continue\r\nExpect: x\r\nContent-Length: 1\r\n", "a"), "417 closed", "400 closed", "RFC 9110 section 10.1.1: 417 for what is not understood; nginx takes no notice"),
		same("of a GET", get+"Expect: 100-continue\r\nContent-Length: 1\r\n"+last+"\r\na", "100 200 GET / a [a] closed"),
		same("of a bad request", expect("1.1", "Expect: 100-continue\r\nContent-Length: x\r\n", ""), "400 closed"),
		same("of an unknown coding", expect("1.1", "Expect: 100-continue\r\nTransfer-Encoding: x\r\n", ""), "501 closed"),
		same("stays open", post+"Expect: 100-continue\r\nContent-Length: 1\r\n\r\na", "100 200 POST / a [a] open"),
		same("stays open with chunks", coded[:len(coded)-2]+"Expect: 100-continue\r\n\r\n1\r\na\r\n0\r\n\r\n", "100 200 POST / a [a] open"),
		same("of 1.2", expect("1.2", "Expect: 100-continue\r\nContent-Length: 1\r\n", "a"), "100 200 POST / a [a] closed"),
	})
}
