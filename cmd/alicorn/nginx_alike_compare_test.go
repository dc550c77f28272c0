package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// differences says in what ours differs from nginx's answer, beyond what is meant to;
// "" for nothing.
func differences(q alikeRequest, ours, theirs alikeAnswer) string {
	var b strings.Builder
	if ours.failed != theirs.failed {
		fmt.Fprintf(&b, "  failed: %q, nginx: %q\n", ours.failed, theirs.failed)
	}
	if ours.status != theirs.status {
		fmt.Fprintf(&b, "  status: %q, nginx: %q\n", ours.status, theirs.status)
	}
	for _, name := range slices.Sorted(maps.Keys(merged(ours.header, theirs.header))) {
		mine, its := slices.Sorted(slices.Values(ours.header[name])), slices.Sorted(slices.Values(theirs.header[name]))
		if !meantFields[name] && !alikeTimes(mine, its) {
			fmt.Fprintf(&b, "  field %s: %q, nginx: %q\n", name, mine, its)
		}
	}
	own := ownPage(ours.body) && ownPage(theirs.body)
	if mine, its := normalBody(ours), normalBody(theirs); !own && mine != its {
		fmt.Fprintf(&b, "  body: %d bytes %.600q\n nginx: %d bytes %.600q\n", len(mine), mine, len(its), its)
	}
	if b.Len() == 0 || slices.ContainsFunc(meant, func(e meantDifference) bool { return e.is(q, ours, theirs) }) {
		return ""
	}
	return b.String()
}

// meantFields differ in every answer: they are the server's own, or say how a body is
// framed, which follows from what the server passes on at once. Allow comes with 405
// here, as RFC 9110 wants (section 15.5.6), and not from nginx.
var meantFields = map[string]bool{"Server": true, "Date": true, "Content-Length": true, "Connection": true, "Keep-Alive": true, "Allow": true}

// meantDifference is a difference that is meant.
type meantDifference struct {
	reason string
	is     func(q alikeRequest, ours, theirs alikeAnswer) bool
}

// meant are the differences that are meant.
var meant = []meantDifference{
	{"A list of files says that it is UTF-8, as names of files are; nginx leaves that to charset.", func(_ alikeRequest, ours, theirs alikeAnswer) bool {
		return strings.HasPrefix(ours.header.Get("Content-Type"), "text/html; charset=") && ours.status == theirs.status && (len(ours.body) == 0 || normalBody(ours) == normalBody(theirs) && bytes.Contains(ours.body, []byte("<title>Index of")))
	}},
	{"What return says has neither a time nor an ETag, so that no condition is about it (RFC 9110, section 13.1.4). nginx takes it for older than any time, and different from any tag.", func(q alikeRequest, ours, theirs alikeAnswer) bool {
		return (strings.HasPrefix(theirs.status, "412") || strings.HasPrefix(theirs.status, "304")) && strings.HasPrefix(ours.status, "200") && strings.Contains(q.text, "\r\nIf-") &&
			ours.header.Get("Last-Modified") == "" && ours.header.Get("ETag") == ""
	}},
	{"A request's absolute URI wins over Host (RFC 9112, section 3.2.2), for gateways too.", func(q alikeRequest, ours, theirs alikeAnswer) bool {
		return strings.Contains(q.text, " http://example.com/") && strings.ReplaceAll(normalBody(ours), "HTTP_HOST=example.com\n", "") == hostLine.ReplaceAllString(normalBody(theirs), "")
	}},
	{"Files that have compressed ones beside them say that they vary, without gzip_vary, too.", func(_ alikeRequest, ours, theirs alikeAnswer) bool {
		return ours.header.Get("Vary") == "Accept-Encoding" && theirs.header.Get("Vary") == "" && ours.status == theirs.status && bytes.Equal(ours.body, theirs.body)
	}},
	{"A short answer of an origin without a length has one here, and may so be too short to be compressed.", func(_ alikeRequest, ours, theirs alikeAnswer) bool {
		return (theirs.header.Get("Vary") == "Accept-Encoding" || theirs.header.Get("Content-Encoding") == "gzip") && ours.header.Get("Content-Encoding") == "" &&
			theirs.header.Get("Content-Length") == "" && ours.header.Get("Content-Length") != "" && normalBody(ours) == normalBody(theirs)
	}},
	{"Compressed files beside others have ranges, as their ETag is their own.", func(_ alikeRequest, ours, theirs alikeAnswer) bool {
		return ours.header.Get("Content-Encoding") == "gzip" && theirs.header.Get("Content-Encoding") == "gzip" && theirs.header.Get("Accept-Ranges") == "" &&
			(ours.header.Get("Accept-Ranges") == "bytes" || strings.HasPrefix(ours.status, "206"))
	}},
	{"An answer has one Content-Type: add_header takes the place of what default_type says.", func(_ alikeRequest, ours, theirs alikeAnswer) bool {
		return len(theirs.header["Content-Type"]) > 1 && len(ours.header["Content-Type"]) == 1 && ours.status == theirs.status && bytes.Equal(ours.body, theirs.body)
	}},
	{"nginx refuses a bad request line before it has read Host, so that variables have the default server's name.", func(_ alikeRequest, ours, theirs alikeAnswer) bool {
		return strings.HasPrefix(theirs.status, "400") && ours.status == theirs.status
	}},
	{"nginx adds what is to be added always a second time where it answers a range with 416.", func(_ alikeRequest, ours, theirs alikeAnswer) bool {
		return strings.HasPrefix(theirs.status, "416") && ours.status == theirs.status
	}},
}

// alikeTimes reports whether values are the same but for the seconds between two answers.
func alikeTimes(mine, its []string) bool {
	return slices.EqualFunc(mine, its, func(a, b string) bool {
		var m, n int
		if _, err := fmt.Sscanf(a+" "+b, "max-age=%d max-age=%d", &m, &n); err == nil {
			return max(m-n, n-m) < int(patience.Seconds())
		}
		s, err := http.ParseTime(a)
		t, otherErr := http.ParseTime(b)
		return a == b || err == nil && otherErr == nil && s.Sub(t).Abs() < patience || boundaryOf.ReplaceAllString(a, "") == boundaryOf.ReplaceAllString(b, "")
	})
}

// hostLine is what applications print of Host.
var hostLine = regexp.MustCompile(`HTTP_HOST=.*\n`)

// boundaryOf is what stands between the parts of a body of ranges.
var boundaryOf = regexp.MustCompile(`boundary=[0-9]+|--[0-9]{20}`)

// ownPage reports whether a body is a server's own page of an error or a redirect.
func ownPage(body []byte) bool {
	return bytes.Contains(body, []byte("<hr>")) || bytes.Contains(body, []byte("<center>")) || bytes.Contains(body, []byte("alicorn"))
}

// normalBody is a body without what differs from second to second, and without what
// differs on purpose in the fields that an origin says it has got:
//
//   - Connection: this program speaks HTTP/1.1 to origins and keeps connections, as nginx
//     does since 1.29.7.
//   - HTTP_TRANSFER_ENCODING: a body reaches gateways with its length. Applications take
//     the coding for one that they have to decode.
func normalBody(a alikeAnswer) string {
	var out []string
	for line := range strings.SplitSeq(boundaryOf.ReplaceAllString(string(a.body), ""), "\n") {
		name, value, _ := strings.Cut(strings.ReplaceAll(line, "=", ": "), ": ")
		switch strings.TrimPrefix(strings.ToUpper(strings.ReplaceAll(name, "-", "_")), "HTTP_") {
		case "X_REQUEST_START", "X_QUEUE_START":
			line = name
		case "CONNECTION":
			if value == "close" {
				continue
			}
		case "TRANSFER_ENCODING":
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
