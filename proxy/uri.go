package proxy

import "strings"

// parseTarget splits an origin-form target into the decoded, normalised path
// and the arguments, as nginx does: percent-decoding once, "." and ".."
// resolved, slashes merged when merge is set, a fragment cut off. ok is false
// for what is answered 400: no leading slash, a malformed escape, NUL, a ".."
// above the root.
func parseTarget(target string, merge bool) (path, args string, hasArgs, ok bool) {
	raw := target
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		if raw[i] == '?' {
			hasArgs = true
			args, _, _ = strings.Cut(raw[i+1:], "#")
		}
		raw = raw[:i]
	}
	path, ok = NormalizePath(raw, merge)
	return path, args, hasArgs, ok
}

// NormalizePath decodes and normalises an absolute path; see parseTarget. A
// path that is normal already is returned as it is, without a copy.
func NormalizePath(raw string, merge bool) (string, bool) {
	if raw == "" || raw[0] != '/' {
		return "", false
	}
	if isNormal(raw, merge) {
		return raw, true
	}
	decoded, ok := unescape(raw)
	if !ok {
		return "", false
	}
	return cleanPath(decoded, merge)
}

// CleanPath resolves "." and ".." in an absolute, decoded path; ok is false
// when it leads above the root or holds a NUL.
func CleanPath(path string) (clean string, ok bool) {
	if path == "" || path[0] != '/' || strings.IndexByte(path, 0) >= 0 {
		return "", false
	}
	return cleanPath([]byte(path), false)
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
func cleanPath(p []byte, merge bool) (string, bool) {
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
				return "", false
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
		return "/", true
	}
	return string(out), true
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
