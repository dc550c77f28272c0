package proxy

import "strings"

// parse splits an origin-form Target into its path and its arguments, as nginx
// does: percent-decoding once, a fragment cut off, and in Path, not in Asked,
// "." and ".." resolved, and slashes merged when merge is set. It returns false
// for what is answered 400: no leading slash, a malformed escape, NUL, a ".."
// above the root.
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

// SetPath has the request be for another path, which is decoded and normal.
func (r *Request) SetPath(path string) { r.Path, r.Asked = path, path }

// NormalizePath decodes and normalises an absolute path as nginx does. A path
// that is normal already is returned as it is, without a copy.
func NormalizePath(raw string, merge bool) (path string, ok bool) {
	_, path, ok = decodePath(raw, merge)
	return path, ok
}

// DecodePath decodes an absolute path that does not lead above the root, and
// leaves it as it is otherwise.
func DecodePath(raw string) (path string, ok bool) {
	path, _, ok = decodePath(raw, false)
	return path, ok
}

// decodePath returns an absolute path decoded, and decoded and normalised. What
// is the same is not copied.
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

// CleanPath resolves "." and ".." in an absolute, decoded path; ok is false
// when it leads above the root or holds a NUL.
func CleanPath(path string) (clean string, ok bool) {
	if path == "" || path[0] != '/' || strings.IndexByte(path, 0) >= 0 {
		return "", false
	}
	b, ok := cleanPath([]byte(path), false)
	return string(b), ok
}

// isNormal reports that there is nothing to decode, merge or resolve.
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
			hi, lo := unhex(raw[i+1]), unhex(raw[i+2])
			if hi > 15 || lo > 15 {
				return nil, false
			}
			c = hi<<4 | lo
			i += 2
		}
		if c == 0 {
			return nil, false
		}
		out = append(out, c)
	}
	return out, true
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
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

// EscapePath percent-encodes what may not stand in a URI's path, for a
// Location built from a decoded path, as nginx's redirects do.
func EscapePath(dst []byte, path string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"#%<>?\\^`{|}", c) >= 0 {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
