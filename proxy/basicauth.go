package proxy

import (
	"encoding/base64"
	"strings"
)

// basicUser returns the user of an Authorization field with the Basic scheme
// (RFC 7617), "" for anything else.
func basicUser(authorization string) string {
	scheme, credentials, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "basic") {
		return ""
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
	if err != nil {
		return ""
	}
	user, _, _ := strings.Cut(string(plain), ":")
	return user
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
