package proxy

// tokenBytes marks the bytes of a token, RFC 9110 section 5.6.2.
var tokenBytes = func() (t [256]bool) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, c := range []byte(letters + "0123456789!#$%&'*+-.^_`|~") {
		t[c] = true
	}
	return t
}()

// IsTokenByte reports whether c may be part of a token: RFC 9110 section 5.6.2.
func IsTokenByte(c byte) bool { return tokenBytes[c] }

// IsToken reports whether s is a token, as methods and names of header fields
// are: RFC 9110 section 5.6.2.
func IsToken[T string | []byte](s T) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return len(s) > 0
}
