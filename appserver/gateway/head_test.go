package gateway

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"alicorn/appserver/pool"
)

func TestAStatusKeepsItsReason(t *testing.T) {
	for _, c := range []struct {
		status, reason string
		code           int // 0: an error
	}{
		{"200 OK", "OK", 200},
		{"302 Found", "Found", 302},
		{"299 Wild  One ", "Wild  One", 299},
		{"404", "", 404},
		{"404 ", "", 404},
		{"200 \u00e9t\u00e9", "\xe9t\xe9", 200},
		{"200 a\r\nX: b", "", 0},
		{"200 \u0394", "", 0},
		{"200 \x00", "", 0},
		{"100 Continue", "", 0},
		{"101 Switching Protocols", "", 0},
		{"2000 OK", "", 0},
		{"", "", 0},
	} {
		h := &pool.Head{}
		err := begin(h, []byte(c.status))
		if c.code == 0 {
			if err == nil {
				t.Errorf("%q: no error", c.status)
			}
		} else if err != nil || h.Status != c.code || h.Reason != c.reason {
			t.Errorf("%q: %d %q, %v; want %d %q", c.status, h.Status, h.Reason, err, c.code, c.reason)
		}
	}
}

// marshal encodes a value as Python does: tuples are []any, bytes []byte.
func marshal(v any) string {
	number := func(t byte, n int) string {
		return string(binary.LittleEndian.AppendUint32([]byte{t}, uint32(n)))
	}
	switch v := v.(type) {
	case nil:
		return "N"
	case int:
		return number('i', v)
	case string:
		return number('u', len(v)) + v
	case []byte:
		return number('s', len(v)) + string(v)
	case []any:
		text := number('(', len(v))
		for _, e := range v {
			text += marshal(e)
		}
		return text
	}
	panic(v)
}

type b = []byte

func TestHeadsOfBothKindsAreRead(t *testing.T) {
	for _, c := range []struct {
		name string
		head any
		want string // status and fields; "": an error
	}{
		{"WSGI's", []any{"404 Gone away", []any{[]any{"X-A", "\u00e9"}}, nil}, "404 Gone away X-A=\xe9 file -1"},
		{"ASGI's", []any{404, []any{[]any{b("x-a"), b("\xe9")}, []any{b("content-length"), b("3")}}, nil}, "404  x-a=\xe9 length 3 file -1"},
		{"a file", []any{200, []any{}, 1 << 20}, "200  file 1048576"},
		{"a status of an interim response", []any{103, []any{}, nil}, ""},
		{"a status that is none", []any{1000, []any{}, nil}, ""},
		{"a negative status", []any{-1, []any{}, nil}, ""},
		{"a status in bytes", []any{b("200 OK"), []any{}, nil}, ""},
		{"a value that splits the response", []any{200, []any{[]any{b("x"), b("a\r\nb")}}, nil}, ""},
		{"a name that is no token", []any{200, []any{[]any{b("x y"), b("1")}}, nil}, ""},
		{"a character above U+00FF", []any{"200", []any{[]any{"X", "\u20ac"}}, nil}, ""},
		{"a field of three", []any{200, []any{[]any{b("x"), b("1"), b("2")}}, nil}, ""},
		{"no file length", []any{200, []any{}}, ""},
	} {
		h, err := ParseHead(marshal(c.head))
		got := ""
		if err == nil {
			got = fmt.Sprintf("%d %s", h.Status, h.Reason)
			for _, f := range h.Fields {
				got += " " + f.Name + "=" + f.Value
			}
			if h.Length >= 0 {
				got += fmt.Sprintf(" length %d", h.Length)
			}
			got += fmt.Sprintf(" file %d", h.File)
		}
		if got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestAnAcceptanceIsRead(t *testing.T) {
	for _, c := range []struct {
		name        string
		accept      any
		subprotocol string
		fields      int
		fails       bool
	}{
		{"plain", []any{"", []any{}}, "", 0, false},
		{"with all", []any{"chat.v2", []any{[]any{b("set-cookie"), b("a=1")}}}, "chat.v2", 1, false},
		{"a subprotocol that is no token", []any{"a, b", []any{}}, "", 0, true},
		{"a subprotocol that splits the response", []any{"a\r\nX: b", []any{}}, "", 0, true},
		{"a field that is none", []any{"", []any{[]any{b(""), b("a")}}}, "", 0, true},
		{"an answer", []any{200, []any{}, nil}, "", 0, true},
	} {
		h, subprotocol, err := ParseAccept(marshal(c.accept))
		if c.fails != (err != nil) || subprotocol != c.subprotocol && !c.fails {
			t.Errorf("%s: got %q, %v; want %q, or an error: %v", c.name, subprotocol, err, c.subprotocol, c.fails)
		} else if err == nil && (h.Status != 101 || len(h.Fields) != c.fields) {
			t.Errorf("%s: got status %d and %d fields, want 101 and %d", c.name, h.Status, len(h.Fields), c.fields)
		}
	}
}

func TestFieldsAloneAreRead(t *testing.T) {
	h, err := ParseFields(marshal([]any{[]any{b("link"), b("</a>")}, []any{"X-Sum", "1"}}))
	if err != nil || len(h.Fields) != 2 || h.Fields[0].Name != "link" || h.Fields[1].Value != "1" {
		t.Errorf(`got %+v, %v; want 2 Fields, Name "link" and Value "1"`, h, err)
	}
	for _, bad := range []string{"", marshal(200), marshal([]any{[]any{b("a"), b("b\n")}}), marshal([]any{}) + "N"} {
		if _, err := ParseFields(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add(marshal([]any{200, []any{[]any{b("x-a"), b("1")}}, nil}))
	f.Add(marshal([]any{"chat", []any{}}))
	f.Add(marshal([]any{[]any{b("link"), b("</a>")}}))
	f.Fuzz(func(t *testing.T, text string) {
		var heads []*pool.Head
		if h, err := ParseHead(text); err == nil {
			heads = append(heads, h)
		}
		if h, subprotocol, err := ParseAccept(text); err == nil {
			heads = append(heads, h)
			if strings.ContainsAny(subprotocol, "\r\n, ") {
				t.Errorf("subprotocol %q, want no blank, comma or line end", subprotocol)
			}
		}
		if h, err := ParseFields(text); err == nil {
			heads = append(heads, h)
		}
		for _, h := range heads {
			for _, field := range h.Fields {
				if strings.ContainsAny(field.Name+field.Value, "\r\n\x00") {
					t.Errorf("field %q: %q; want no line end or NUL", field.Name, field.Value)
				}
			}
		}
	})
}
