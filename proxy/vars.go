package proxy

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// coreVariables are the variables that need no other module.
func coreVariables() []Variable {
	return slices.Concat(requestVariables(), connectionVariables(), proxyProtocolVariables(), responseVariables(), upstreamVariables(), timeVariables(), families())
}

func requestVariables() []Variable {
	return []Variable{
		textVariable("uri", func(x *Exchange) string { return x.Req.Path }),
		textVariable("document_uri", func(x *Exchange) string { return x.Req.Path }),
		textVariable("request_uri", func(x *Exchange) string { return x.Req.Target }),
		optionalVariable("args", func(x *Exchange) string { return x.Req.Args }),
		optionalVariable("query_string", func(x *Exchange) string { return x.Req.Args }),
		textVariable("is_args", func(x *Exchange) string {
			if x.Req.Args != "" {
				return "?"
			}
			return ""
		}),
		textVariable("host", func(x *Exchange) string { return x.Req.Host }),
		textVariable("request_method", func(x *Exchange) string { return x.Main().Req.Method }),
		textVariable("scheme", func(x *Exchange) string { return x.Req.Scheme }),
		textVariable("https", func(x *Exchange) string {
			if x.Req.Scheme == "https" {
				return "on"
			}
			return ""
		}),
		optionalVariable("remote_user", remoteUser),
		optionalVariable("request", func(x *Exchange) string { return x.Req.Line }),
		textVariable("request_id", (*Exchange).RequestID),
		fieldVariable("content_type", FieldContentType),
		{Name: "content_length", Get: contentLength},
		{Name: requestBody, Get: bodyText},
		textVariable("request_port", portAsked),
		textVariable("is_request_port", func(x *Exchange) string {
			if portAsked(x) != "" {
				return ":"
			}
			return ""
		}),
	}
}

func connectionVariables() []Variable {
	host, pid := hostname(), strconv.Itoa(os.Getpid())
	return []Variable{
		textVariable("server_name", func(x *Exchange) string { return x.Server.Name }),
		textVariable("server_addr", func(x *Exchange) string { return x.Conn.LocalAddr }),
		textVariable("server_port", func(x *Exchange) string { return x.Conn.LocalPort }),
		textVariable("server_protocol", func(x *Exchange) string { return x.Req.Proto }),
		textVariable("http2", http2),
		textVariable("http3", func(*Exchange) string { return "" }), // no connection is of HTTP/3
		textVariable("remote_addr", (*Exchange).RemoteAddr),
		textVariable("remote_port", (*Exchange).RemotePort),
		textVariable("binary_remote_addr", (*Exchange).RemoteBinary),
		textVariable("hostname", func(*Exchange) string { return host }),
		textVariable("pid", func(*Exchange) string { return pid }),
		textVariable("alicorn_version", func(*Exchange) string { return Version }),
		textVariable("nginx_version", func(*Exchange) string { return nginxVersion }),
		numberVariable("request_length", (*Exchange).BytesRead),
		numberVariable("connection", func(x *Exchange) int64 { return int64(x.Conn.ID) }),
		numberVariable("connection_requests", func(x *Exchange) int64 { return int64(x.Number) }),
		textVariable("pipe", func(x *Exchange) string {
			if x.Pipelined {
				return "p"
			}
			return "."
		}),
	}
}

func responseVariables() []Variable {
	return []Variable{
		{Name: "status", Get: func(x *Exchange, dst []byte) ([]byte, bool) {
			s := x.Res.Status
			if x.status.override != 0 {
				s = x.status.override // an error page answers with this status
			}
			if s < 100 {
				return append(dst, "000"...), true
			}
			return strconv.AppendInt(dst, int64(s), 10), true
		}},
		numberVariable("bytes_sent", (*Exchange).BytesSent),
		numberVariable("body_bytes_sent", func(x *Exchange) int64 { return x.Res.Written }),
		numberVariable("limit_rate", (*Exchange).LimitRate),
		textVariable("request_completion", func(x *Exchange) string {
			if x.Res.complete {
				return "OK"
			}
			return ""
		}),
	}
}

func textVariable(name string, f func(x *Exchange) string) Variable {
	return Variable{Name: name, Get: func(x *Exchange, dst []byte) ([]byte, bool) { return append(dst, f(x)...), true }}
}

// optionalVariable is not found if it is empty. Logs show it as "-" then.
func optionalVariable(name string, f func(x *Exchange) string) Variable {
	return Variable{Name: name, Get: func(x *Exchange, dst []byte) ([]byte, bool) {
		v := f(x)
		return append(dst, v...), v != ""
	}}
}

func numberVariable(name string, f func(x *Exchange) int64) Variable {
	return Variable{Name: name, Get: func(x *Exchange, dst []byte) ([]byte, bool) { return strconv.AppendInt(dst, f(x), 10), true }}
}

func fieldVariable(name string, id FieldID) Variable {
	return Variable{Name: name, Get: func(x *Exchange, dst []byte) ([]byte, bool) {
		v, ok := x.Req.Header.Lookup(id)
		return append(dst, v...), ok
	}}
}

func timeVariables() []Variable {
	return []Variable{
		{Name: "request_time", Get: func(x *Exchange, dst []byte) ([]byte, bool) {
			return AppendMillis(dst, time.Since(x.Start)), true
		}},
		{Name: "msec", Get: func(x *Exchange, dst []byte) ([]byte, bool) {
			return AppendMillis(dst, time.Duration(time.Now().UnixNano())), true
		}},
		{Name: "time_local", Get: func(x *Exchange, dst []byte) ([]byte, bool) {
			return time.Now().AppendFormat(dst, "02/Jan/2006:15:04:05 -0700"), true
		}},
		{Name: "time_iso8601", Get: func(x *Exchange, dst []byte) ([]byte, bool) {
			return time.Now().AppendFormat(dst, "2006-01-02T15:04:05-07:00"), true
		}},
		{Name: "date_local", Get: func(x *Exchange, dst []byte) ([]byte, bool) {
			return time.Now().AppendFormat(dst, "Monday, 02-Jan-2006 15:04:05 MST"), true
		}},
		{Name: "date_gmt", Get: func(x *Exchange, dst []byte) ([]byte, bool) {
			return time.Now().UTC().AppendFormat(dst, "Monday, 02-Jan-2006 15:04:05 GMT"), true
		}},
		{Name: "connection_time", Get: func(x *Exchange, dst []byte) ([]byte, bool) {
			return AppendMillis(dst, time.Since(x.Conn.Accepted)), true
		}},
	}
}

// AppendMillis appends d as seconds with three decimals: "0.004". A negative d is 0.
func AppendMillis(dst []byte, d time.Duration) []byte {
	ms := max(d.Milliseconds(), 0)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

func families() []Variable {
	return []Variable{
		{Name: "http_", Family: requestField},
		{Name: "sent_http_", Family: sentField},
		{Name: "sent_trailer_", Family: sentTrailer},
		{Name: "arg_", Family: argument},
		{Name: "cookie_", Family: cookie},
	}
}

// requestField is $http_NAME: all lines of the field, joined with ", " (Cookie with "; "),
// as in nginx since 1.23.
func requestField(rest string) Getter {
	name := strings.ReplaceAll(rest, "_", "-")
	sep := ", "
	if strings.EqualFold(name, "cookie") {
		sep = "; "
	}
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		return appendField(dst, &x.Req.Header, name, sep)
	}
}

func appendField(dst []byte, h *Header, name, sep string) ([]byte, bool) {
	found := false
	id := FieldIDOf(name)
	for i := range h.fields {
		f := &h.fields[i]
		if f.id != id || id == FieldOther && !matchesVariable(f.Name, name) {
			continue
		}
		if found {
			dst = append(dst, sep...)
		}
		dst, found = append(dst, f.Value...), true
	}
	return dst, found
}

// matchesVariable reports whether a variable of this name shows the field. name has hyphens
// for underscores. Case does not matter; underscores of the field count as hyphens.
func matchesVariable(field, name string) bool {
	if strings.EqualFold(field, name) {
		return true
	}
	return strings.IndexByte(field, '_') >= 0 && strings.EqualFold(strings.ReplaceAll(field, "_", "-"), name)
}

func sentField(rest string) Getter {
	name := strings.ReplaceAll(strings.ToLower(rest), "_", "-")
	switch name {
	case "content-type":
		return func(x *Exchange, dst []byte) ([]byte, bool) {
			if x.Res.sent {
				return x.Res.AppendType(dst), x.Res.ContentType != ""
			}
			return append(dst, x.Res.ContentType...), x.Res.ContentType != "" // as in nginx without the charset, for maps that set fields
		}
	case "content-length":
		return func(x *Exchange, dst []byte) ([]byte, bool) {
			if x.Res.Length < 0 {
				return dst, false
			}
			return strconv.AppendInt(dst, x.Res.Length, 10), true
		}
	}
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		return appendField(dst, &x.Res.Header, name, ", ")
	}
}

// sentTrailer is $sent_trailer_NAME: a field behind the response's body.
func sentTrailer(rest string) Getter {
	name := strings.ReplaceAll(rest, "_", "-")
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		return appendField(dst, &x.Res.Trailer, name, ", ")
	}
}

// argument is $arg_NAME: the value of the first argument of that name, as sent. Case of the
// name does not matter.
func argument(name string) Getter {
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		for rest := x.Req.Args; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, "&")
			if k, v, ok := strings.Cut(pair, "="); ok && strings.EqualFold(k, name) {
				return append(dst, v...), true
			}
		}
		return dst, false
	}
}

// cookie is $cookie_NAME. As in nginx, case of the name does not matter.
func cookie(name string) Getter {
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		for i := range x.Req.Header.fields {
			f := &x.Req.Header.fields[i]
			if f.id != FieldCookie {
				continue
			}
			for rest := f.Value; rest != ""; {
				var pair string
				pair, rest, _ = strings.Cut(rest, ";")
				if k, v, ok := strings.Cut(strings.TrimLeft(pair, " \t"), "="); ok && strings.EqualFold(k, name) {
					return append(dst, v...), true
				}
			}
		}
		return dst, false
	}
}

// remoteUser is $remote_user: the authenticated user, or else, as in nginx, the user that
// the request claims in Basic authentication.
func remoteUser(x *Exchange) string {
	if x.User != "" {
		return x.User
	}
	user, _, _ := x.BasicCredentials()
	return user
}
