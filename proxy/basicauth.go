package proxy

import (
	"encoding/base64"
	"strings"
)

// BasicCredentials returns the user and the password of the request's Authorization field
// with the Basic scheme (RFC 7617), as nginx reads it. They are not checked. ok is false
// if the field has none.
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
