package proxy

import (
	"encoding/base64"
	"strings"
)

// BasicCredentials returns the name and the password of the request's Authorization field
// with the Basic scheme (RFC 7617), as nginx reads it. Nobody has checked them. ok is
// false if there are none.
func (x *Exchange) BasicCredentials() (user, password string, ok bool) {
	return basicCredentials(x.Req.Header.Value(FieldAuthorization))
}

func basicCredentials(authorization string) (user, password string, ok bool) {
	const scheme = "Basic "
	if len(authorization) < len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return "", "", false
	}
	encoded, _, _ := strings.Cut(strings.TrimLeft(authorization[len(scheme):], " "), "=")
	plain, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(plain), ":")
	if !ok || user == "" {
		return "", "", false
	}
	return user, password, true
}

// printable returns s with bytes that would break a log line escaped.
func printable(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' || s[i] >= 0x7f {
			return escapeLog(s)
		}
	}
	return s
}

func escapeLog(s string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			out = append(out, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}
