package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// compare returns how ours differs from what gunicorn does, beyond what is
// meant to. The exceptions, each with its reason:
//
//   - A request that runs into the timeout gets 504; gunicorn kills the worker and
//     closes the connection without an reply.
//   - X-Forwarded-For and X-Forwarded-Proto of peers that are not trusted say what
//     the server knows; gunicorn passes on what such a peer sends.
//   - graceful_timeout 0, umask and backlog are read, and show in nothing here but
//     a socket's permissions.
//   - CONTENT_LENGTH of a request without a body is 0 here and missing in gunicorn.
//   - REMOTE_ADDR of a peer on a unix socket is nginx's "unix:", and gunicorn's "".
//   - wsgi.multithread is true for gthread with one thread in gunicorn; here no two
//     requests run at once in such a worker.
//   - A gthread worker of gunicorn's gives a sign of life each second, and so may be
//     killed with a timeout of 1 although it lives; here it is not.
//   - gthread with no threads has one here; gunicorn's workers fail.
//   - At the level debug, gunicorn's error log has a line for each request.
//   - Server, Date, Connection and the framing of a body are the front's own.
//   - A worker may be replaced somewhat before max_requests, never after.
//   - More header fields than limit_request_fields are 431 here (RFC 6585) and 400
//     in gunicorn.
//   - Gunicorn says what it does on standard error at the level info; what stands
//     in a log file is each program's own.
func compare(c alikeCase, theirs, ours observed) (all []string) {
	differ := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if theirs.starts != ours.starts && !(ours.starts && c.given["threads"] == "0" && c.given["worker_class"] == "gthread") {
		differ("it starts: %v, gunicorn: %v", ours.starts, theirs.starts)
	}
	if !ours.starts || !theirs.starts {
		return all
	}
	for _, name := range slices.Sorted(maps.Keys(theirs.answers)) {
		for _, d := range compareAnswers(c, name, theirs.answers[name], ours.answers[name]) {
			differ("%s: %s", name, d)
		}
	}
	for _, log := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(theirs.logs)), slices.Collect(maps.Keys(ours.logs)))))) {
		theirText, there := theirs.logs[log]
		ourText, here := ours.logs[log]
		if there != here {
			differ("%s is there: %v, gunicorn: %v", log, here, there)
		}
		if line := "a%20b"; !(c.given["loglevel"] == "debug" && strings.Contains(log, "error")) && strings.Contains(theirText, line) != strings.Contains(ourText, line) {
			differ("%s has the request: %v, gunicorn: %v", log, strings.Contains(ourText, line), strings.Contains(theirText, line))
		}
	}
	if line := "a%20b//c"; c.given["loglevel"] != "debug" && strings.Contains(theirs.said, line) != strings.Contains(ours.said, line) {
		differ("the terminal gets the access log: %v, gunicorn: %v", strings.Contains(ours.said, line), strings.Contains(theirs.said, line))
	}
	if !slices.Equal(theirs.files, ours.files) {
		differ("files %q, gunicorn: %q", ours.files, theirs.files)
	}
	if most := c.limit(); most > 0 {
		for pid, n := range ours.pids {
			if n > most {
				differ("worker %s served %d requests of at most %d", pid, n, most)
			}
		}
	}
	return append(all, unnamed(c, ours.said)...)
}

// limit is the most requests of a worker; 0: there is no bound.
func (c alikeCase) limit() int {
	n, _ := strconv.Atoi(c.given["max_requests"])
	jitter, _ := strconv.Atoi(c.given["max_requests_jitter"])
	if n == 0 {
		return 0
	}
	return n + jitter
}

func compareAnswers(c alikeCase, name string, theirs, ours reply) (all []string) {
	if theirs.status != ours.status || theirs.reason != ours.reason {
		cut := theirs.status == 0 && ours.status == 504
		tooMany := theirs.status == 400 && ours.status == 431
		late := name == "slow" && theirs.status == 0 && (c.given["worker_class"] == "gthread" || c.given["threads"] > "1")
		if !cut && !tooMany && !late {
			all = append(all, fmt.Sprintf("status %q, gunicorn: %q", ours.reason, theirs.reason))
		}
		return all
	}
	for _, field := range []string{"Content-Type"} {
		if ours.status == 200 && theirs.headers.Get(field) != ours.headers.Get(field) {
			all = append(all, fmt.Sprintf("%s %q, gunicorn: %q", field, ours.headers.Get(field), theirs.headers.Get(field)))
		}
	}
	for _, part := range slices.Sorted(maps.Keys(theirs.app)) {
		a, b := theirs.app[part], ours.app[part]
		if part == "environ" {
			a, b = c.normal(a), c.normal(b)
		}
		if !reflect.DeepEqual(a, b) {
			all = append(all, fmt.Sprintf("%s %v, gunicorn: %v", part, b, a))
		}
	}
	return all
}

// trusts reports whether the peer of the requests is trusted.
func (c alikeCase) trusts() bool {
	allowed := c.given["forwarded_allow_ips"]
	return c.given["bind"] == "unix" || allowed != "10" && allowed != "none"
}

// normal returns the environ without what is meant to differ.
func (c alikeCase) normal(environ any) any {
	m, ok := environ.(map[string]any)
	if !ok {
		return environ
	}
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(name string, value any) bool {
		switch name {
		case "CONTENT_LENGTH":
			return value == "0"
		case "REMOTE_ADDR":
			return value == "unix:" || value == ""
		case "wsgi.multithread":
			return c.given["worker_class"] == "gthread"
		}
		return strings.HasPrefix(name, "HTTP_X_FORWARDED_") && !c.trusts()
	})
	return m
}

// unnamed returns the settings that do nothing here and are not named.
func unnamed(c alikeCase, said string) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(c.given)) {
		g, ok := settingOf(name)
		value := c.given[name]
		if !ok || value == "" || g.kind != hook && (g.why == "" || g.asksNothing([]string{value})) {
			continue
		}
		if !strings.Contains(said, name) && !strings.Contains(said, "--"+g.flag) {
			all = append(all, fmt.Sprintf("%s is dropped without a word", name))
		}
	}
	return all
}
