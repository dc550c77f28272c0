package wire

import (
	"bytes"
	"testing"
)

func TestMalformedMarshalIsRefused(t *testing.T) {
	deep := bytes.Repeat([]byte("[\x01\x00\x00\x00"), 6)
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"empty", nil}, {"unknown type", []byte("c")}, {"string past the end", []byte("u\xff\x00\x00\x00a")},
		{"huge list", []byte("[\xff\xff\xff\x7f")}, {"too deep", append(deep, 'N')}, {"rest", []byte("NN")},
		{"key that is no str", []byte("{i\x01\x00\x00\x00N0")}, {"dict without its end", []byte("{")},
		{"long past 64 bits", append([]byte("l\x06\x00\x00\x00"), bytes.Repeat([]byte{1}, 12)...)},
		{"long of large digits", []byte("l\x01\x00\x00\x00\xff\xff")}, {"reference", []byte("r\x00\x00\x00\x00")},
	} {
		if v, err := Decode(c.data); err == nil {
			t.Errorf("%s: got %v, want an error", c.name, v)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(AppendValue(nil, map[string]any{"a": []string{"b"}, "n": 1, "t": true, "x": nil}))
	f.Add([]byte("l\x03\x00\x00\x00\x01\x00\x02\x00\x03\x00"))
	f.Fuzz(func(t *testing.T, data []byte) { Decode(data) })
}
