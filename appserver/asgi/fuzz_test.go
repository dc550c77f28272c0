package asgi

import (
	"encoding/binary"
	"strings"
	"testing"

	"alicorn/appserver/wire"
	"alicorn/proxy"
)

// decode reads an encoded scope as PROTOCOL.md has a worker do it: keys of the scope, then
// header fields.
func decode(t *testing.T, data []byte) (keys map[string]string, fields [][2]string) {
	n := binary.LittleEndian.Uint32(data)
	shape, parts := string(data[4:4+n]), strings.Split(string(data[4+n:]), "\x00")
	keys = map[string]string{}
	for item := range strings.SplitSeq(shape, "\x00") {
		name, value, fixed := strings.Cut(item, ":")
		if !fixed {
			if len(parts) == 0 {
				t.Fatalf("the shape %q has more names than there are values", shape)
			}
			value, parts = parts[0], parts[1:]
		}
		key, isKey := strings.CutPrefix(name, "=")
		switch {
		case isKey && len(fields) > 0:
			t.Errorf("the key %q comes after a header field", name)
		case isKey:
			keys[key] = value
		case fixed:
			t.Errorf("the value of the header field %q is a part of the shape", name)
		default:
			fields = append(fields, [2]string{name, value})
		}
	}
	if len(parts) > 0 {
		t.Errorf("%d values without a name, want 0", len(parts))
	}
	return keys, fields
}

// FuzzScope encodes requests as a client could make them and decodes their scopes: each
// value is where it belongs, whatever the client has sent.
func FuzzScope(f *testing.F) {
	f.Add("GET", "/a%20b?x=1", "shop:80", "X-Thing", "1", false)
	f.Add("PURGE", "/=raw_path:x", "=type:websocket", "=scheme", "x\xff", true)
	f.Add("POST", "/", "", "x-forwarded-for", "a\x00b", false)
	f.Fuzz(func(t *testing.T, method, target, host, name, value string, websocket bool) {
		if !isToken(name) || !isToken(method) || !strings.HasPrefix(target, "/") {
			return // the server answers 400
		}
		q := newRequest(name + ": x")
		r := &q.Req
		r.Header.Set(name, value)
		r.Method, r.Target, r.Authority, r.Host, q.WebSocket = method, target, host, host, websocket
		path, query, _ := strings.Cut(target, "?")
		path, _, _ = strings.Cut(path, "#")
		r.Args = query
		var e wire.Environ
		Scope(&e, q)
		data, err := e.AppendTo(nil)
		if hasNUL := strings.ContainsRune(path+query+host+value, 0); err != nil {
			if !hasNUL {
				t.Fatalf("cannot encode: %v", err)
			}
			return
		}
		keys, fields := decode(t, data)
		for key, want := range map[string]string{"raw_path": path, "query_string": query, "client_host": "192.0.2.9", "client_port": "50000"} {
			if keys[key] != want && !strings.ContainsRune(target, '#') {
				t.Errorf("%s is %q, want %q", key, keys[key], want)
			}
		}
		if want := map[bool]string{false: "http", true: "websocket"}[websocket]; keys["type"] != want {
			t.Errorf("type is %q, want %q", keys["type"], want)
		}
		if !websocket && keys["method"] != method {
			t.Errorf("method is %q, want %q", keys["method"], method)
		}
		for _, field := range fields {
			if field[0] != strings.ToLower(field[0]) {
				t.Errorf("the name %q is not in lower case, want %q", field[0], strings.ToLower(field[0]))
			}
			if field[0] == strings.ToLower(name) && field[0] != "host" && field[1] != value {
				t.Errorf("%s is %q, want %q", name, field[1], value)
			}
		}
	})
}

// isToken reports whether s may be a field name or a method (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	return proxy.IsToken(s) && proxy.FieldIDOf(s) == proxy.FieldOther
}
