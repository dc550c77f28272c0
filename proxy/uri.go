package proxy

import "strings"

// parse splits an origin-form Target into its path and its arguments, as nginx does. It
// cuts a fragment off and decodes the path once. In Path, but not in Asked, it resolves
// "." and "..", and with merge merges slashes. It returns false for a target that is
// answered with 400: one without a leading slash, with a malformed escape or NUL, or with
// a ".." that leads above the root.
func (r *Request) parse(merge bool) (ok bool) {
	raw := r.Target
	r.Args, r.HasArgs = "", false
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		if raw[i] == '?' {
			r.HasArgs = true
			r.Args, _, _ = strings.Cut(raw[i+1:], "#")
		}
		raw = raw[:i]
	}
	r.Asked, r.Path, ok = decodePath(raw, merge)
	return ok
}

// SetPath changes the request's path, to one that is decoded and normal.
func (r *Request) SetPath(path string) { r.Path, r.Asked = path, path }

// NormalizePath decodes and normalises an absolute path as nginx does. It returns a path
// that is normal already without a copy. ok is false for the paths that parse refuses.
func NormalizePath(raw string, merge bool) (path string, ok bool) {
	_, path, ok = decodePath(raw, merge)
	return path, ok
}

// DecodePath decodes an absolute path, and does not resolve "." and ".." in it. ok is false
// for the paths that parse refuses.
func DecodePath(raw string) (path string, ok bool) {
	path, _, ok = decodePath(raw, false)
	return path, ok
}

// decodePath decodes an absolute path; path is the decoded path normalised. It copies only
// if something changes.
func decodePath(raw string, merge bool) (decoded, path string, ok bool) {
	if raw == "" || raw[0] != '/' {
		return "", "", false
	}
	if isNormal(raw, merge) {
		return raw, raw, true
	}
	b, ok := unescape(raw)
	if !ok {
		return "", "", false
	}
	if decoded = raw; len(b) < len(raw) { // something was escaped
		decoded = string(b)
	}
	clean, ok := cleanPath(b, merge)
	if string(clean) == decoded {
		return decoded, decoded, ok
	}
	return decoded, string(clean), ok
}

// CleanPath resolves "." and ".." in an absolute, decoded path. ok is false if the path is
// not absolute, leads above the root, or has a NUL.
func CleanPath(path string) (clean string, ok bool) {
	if path == "" || path[0] != '/' || strings.IndexByte(path, 0) >= 0 {
		return "", false
	}
	b, ok := cleanPath([]byte(path), false)
	return string(b), ok
}

// isNormal reports whether raw certainly has nothing to decode, merge or resolve.
func isNormal(raw string, merge bool) bool {
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '%', 0:
			return false
		case '/':
			if i+1 < len(raw) && (raw[i+1] == '.' || merge && raw[i+1] == '/') {
				return false
			}
		}
	}
	return true
}

func unescape(raw string) ([]byte, bool) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return nil, false
			}
			hi, lo := HexValue(raw[i+1]), HexValue(raw[i+2])
			if hi < 0 || lo < 0 {
				return nil, false
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		if c == 0 {
			return nil, false
		}
		out = append(out, c)
	}
	return out, true
}

// HexValue returns the value of a hexadecimal digit, and -1 for any other byte.
func HexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// cleanPath resolves dot segments and merges slashes in place.
func cleanPath(p []byte, merge bool) ([]byte, bool) {
	out := p[:0]
	for i := 0; i < len(p); {
		// p[i] is a slash; the segment after it ends before j
		j := i + 1
		for j < len(p) && p[j] != '/' {
			j++
		}
		last := j == len(p)
		switch seg := p[i+1 : j]; {
		case string(seg) == ".":
			if last {
				out = append(out, '/')
			}
		case string(seg) == "..":
			cut := len(out) - 1
			for cut >= 0 && out[cut] != '/' {
				cut--
			}
			if cut < 0 {
				return nil, false
			}
			if out = out[:cut]; last {
				out = append(out, '/')
			}
		case len(seg) == 0 && merge && !last:
		default:
			out = append(append(out, '/'), seg...)
		}
		i = j
	}
	if len(out) == 0 {
		return append(out, '/'), true
	}
	return out, true
}

// EscapePath appends a decoded path to dst. It percent-encodes the bytes that the path of a
// URI must not contain, as nginx's redirects do.
func EscapePath(dst []byte, path string) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"#%<>?\\^`{|}", c) >= 0 {
			dst = AppendEscape(dst, c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// EscapeComponent appends s to dst. It percent-encodes each byte but the unreserved
// characters of RFC 3986 section 2.3, so that the result needs no escapes in HTML either.
func EscapeComponent(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = AppendEscape(dst, c)
		}
	}
	return dst
}

// AppendEscape appends c percent-encoded.
func AppendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}
