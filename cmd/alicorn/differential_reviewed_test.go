package main

import (
	"slices"
	"strings"
)

// reviewedKeys are the keys of the environ that differ from gunicorn's, and why.
var reviewedKeys = map[string]string{
	"SERVER_SOFTWARE":        "names the server",
	"SERVER_PORT":            "each server of the test has a port of its own",
	"SERVER_NAME":            "is the name that was asked for; gunicorn's is the address that it listens on",
	"REMOTE_PORT":            "is the connection's",
	"REQUEST_URI":            "is RAW_URI by the name that uWSGI and nginx have for it; gunicorn has none",
	"GATEWAY_INTERFACE":      "is CGI's own (RFC 3875); gunicorn leaves it out",
	"HTTP_CONNECTION":        "belongs to the connection, which is the front's (RFC 9110 section 7.6.1)",
	"HTTP_TRANSFER_ENCODING": "as above: applications get the body decoded, with its CONTENT_LENGTH",
	"HTTP_X_UNDER":           "underscores_in_headers is off, as in nginx: X_Under could pass for X-Under",
	"HTTP_X_1.2":             "ignore_invalid_headers is on, as in nginx: only letters, digits and hyphens",
}

// reviewedKey reports whether a key of the environ may differ so.
func (r *randomRequest) reviewedKey(name string, ours, theirs any) bool {
	if _, ok := reviewedKeys[name]; ok {
		return true
	}
	a, _ := ours.(string)
	b, _ := theirs.(string)
	switch {
	case name == "CONTENT_LENGTH" && r.chunked:
		return theirs == nil // gunicorn's applications have to read to the end
	case name == "HTTP_COOKIE":
		return a == strings.ReplaceAll(b, ",", "; ") // RFC 9113 section 8.2.3; a comma is part of a cookie
	case strings.HasPrefix(name, "HTTP_X_"):
		return a == trimmedParts(b) // RFC 9110 section 5.5: blanks around a line's value are none of it
	case name == "PATH_INFO":
		return strings.Contains(r.target, "\xc3") // gunicorn encodes bytes beyond ASCII twice
	case name == "RAW_URI" || name == "HTTP_HOST":
		return strings.HasPrefix(r.target, "http:") // the target's host is the request's (RFC 9112 section 3.2.2), and RAW_URI is as behind nginx
	}
	return false
}

// reviewed reports whether the answers may differ altogether.
func (r *randomRequest) reviewed(ours, theirs *answered) bool {
	switch {
	case strings.HasPrefix(ours.status, "400 ") && r.leadsUp():
		return true // as nginx does, the front refuses paths that lead above the root
	case strings.Contains(r.target, "\xc3") && ours.app == nil && ours.status == theirs.status:
		return true // a page that shows the path, which gunicorn encodes twice
	case strings.HasPrefix(r.target, "http:") && strings.HasPrefix(ours.status, "30"):
		return ours.status == theirs.status // Location has the host
	case r.chunked && ours.app != nil && theirs.app != nil && theirs.app["bytes"] == 0.0:
		return ours.status == theirs.status && ours.app["bytes"] == float64(len(r.body)) // Flask and Django read no body without CONTENT_LENGTH
	case ours.served() && strings.EqualFold(ours.status, theirs.status):
		return string(ours.body) == string(theirs.body) // a file: its ETag is nginx's, and its Content-Type names no charset
	}
	return false
}

// served reports whether a is a file that the front has served: its ETag is nginx's.
func (a *answered) served() bool {
	return a.app == nil && strings.Count(a.header.Get("ETag"), "-") == 1
}

// leadsUp reports whether the path goes above its root.
func (r *randomRequest) leadsUp() bool {
	path := strings.TrimPrefix(r.target, "http://named.example")
	path, _, _ = strings.Cut(strings.ReplaceAll(path, "#", "?"), "?")
	depth := 0
	for segment := range strings.SplitSeq(strings.NewReplacer("%2e", ".", "%2F", "/", "%2f", "/").Replace(path), "/") {
		switch segment {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// reviewedField reports whether a field of the answer may differ so.
func (r *randomRequest) reviewedField(name string, ours, theirs *answered) bool {
	switch name {
	case "Server", "Date", "Connection", "Transfer-Encoding", "Content-Length":
		return true // the server's, and the framing
	case "X-Path":
		return strings.Contains(r.target, "\xc3") // as PATH_INFO
	case "Allow": // Flask gives it in the order of a set
		return sortedList(ours.header.Get(name)) == sortedList(theirs.header.Get(name))
	}
	return false
}

// trimmedParts is a list without the blanks at the ends of its members.
func trimmedParts(text string) string {
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimRight(parts[i], " \t")
	}
	return strings.Join(parts, ",")
}

func sortedList(text string) string {
	list := strings.Split(text, ", ")
	slices.Sort(list)
	return strings.Join(list, ", ")
}
