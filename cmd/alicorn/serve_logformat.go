package main

import (
	"fmt"
	"regexp"
	"strings"

	"alicorn/config"
)

// logAtoms maps gunicorn's atoms of access_log_format to variables.
var logAtoms = map[string]string{
	"h": "$remote_addr", "l": "-", "u": "$remote_user", "t": "[$time_local]", "r": "$request", "m": "$request_method",
	"U": "$uri", "q": "$args", "H": "$server_protocol", "s": "$status", "b": "$body_bytes_sent", "B": "$body_bytes_sent",
	"f": "$http_referer", "a": "$http_user_agent", "T": "$request_time", "L": "$request_time", "p": "<$pid>",
}

// usualFormat is gunicorn's default, which is nginx's combined.
const usualFormat = `%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"`

// logField is a field of the request or the response in a format: {name}i, {name}o.
var logField = regexp.MustCompile(`^\{([A-Za-z0-9_-]+)\}([io])$`)

// logFormat translates gunicorn's access_log_format to the arguments of log_format.
// without has the atoms without an equivalent; they become "-", as unknown atoms do in
// gunicorn.
func logFormat(format string) (words, without []string, err error) {
	var b strings.Builder
	rest := format
	for {
		before, after, found := strings.Cut(rest, "%")
		if strings.Contains(before, "$") {
			return nil, nil, fmt.Errorf("invalid format %q: \"$\" begins a variable in log_format, and cannot be written there", format)
		}
		b.WriteString(before)
		if !found {
			break
		}
		if rest, found = strings.CutPrefix(after, "%"); found {
			b.WriteByte('%')
			continue
		}
		atom, tail, ended := strings.Cut(after, ")s")
		atom, begun := strings.CutPrefix(atom, "(")
		if !begun || !ended {
			return nil, nil, fmt.Errorf("invalid format %q: after \"%%\" comes \"(NAME)s\", or \"%%\" for itself", format)
		}
		value, ok := logVariable(atom)
		if !ok {
			without = append(without, "%("+atom+")s")
		}
		b.WriteString(value)
		rest = tail
	}
	if strings.HasPrefix(strings.TrimSpace(format), "{") {
		words = append(words, "escape=json")
	}
	return append(words, b.String()), without, nil
}

// logVariable returns the variable for an atom; "-" where there is none.
func logVariable(atom string) (value string, ok bool) {
	if value, ok = logAtoms[atom]; ok {
		return value, true
	}
	m := logField.FindStringSubmatch(atom)
	if m == nil {
		return "-", false
	}
	prefix := "${http_"
	if m[2] == "o" {
		prefix = "${sent_http_"
	}
	return prefix + strings.ToLower(strings.ReplaceAll(m[1], "-", "_")) + "}", true
}

// accessNodes returns the directives of an access log at path.
func (f *serveFlags) accessNodes(path string) []*config.Node {
	if f.logFormat == "" {
		return []*config.Node{config.NewNode("access_log", path)}
	}
	words, _, _ := logFormat(f.logFormat) // the flag has checked it
	return []*config.Node{
		config.NewNode("log_format", append([]string{"gunicorn"}, words...)...),
		config.NewNode("access_log", path, "gunicorn"),
	}
}

// accessFormat is the value of the flag.
type accessFormat struct {
	format *string
	into   *serveFlags
}

// String returns the format.
func (a *accessFormat) String() string {
	if a.format == nil {
		return ""
	}
	return *a.format
}

// Type returns the name of the value in help.
func (a *accessFormat) Type() string { return "format" }

// Set takes gunicorn's atoms. Those without an equivalent become "-", with a note.
func (a *accessFormat) Set(format string) error {
	if format == usualFormat {
		format = ""
	}
	_, without, err := logFormat(format)
	if err != nil {
		return err
	}
	*a.format = format
	if len(without) > 0 {
		for _, atom := range without {
			*a.format = strings.ReplaceAll(*a.format, atom, "-")
		}
		a.into.noteValue("access-logformat", fmt.Sprintf("nothing here stands for %s; \"-\" is written", strings.Join(without, ", ")))
	}
	return nil
}
