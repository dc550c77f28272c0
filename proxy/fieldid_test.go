package proxy

import (
	"strings"
	"testing"
)

func TestFieldNamesAreRecognisedInAnyCase(t *testing.T) {
	for id := FieldHost; id < numFieldIDs; id++ {
		name := fieldNames[id]
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := FieldIDOf(n); got != id {
				t.Errorf("%q is %q; want %q", n, fieldNames[got], fieldNames[id])
			}
		}
		for i := range len(name) { // one other byte, which keeps the shape where it is in the middle
			for _, c := range []byte{'x', '_', name[i] ^ 0x20, name[i] ^ 0x80} {
				n := name[:i] + string([]byte{c}) + name[i+1:]
				if got := FieldIDOf(n); (got == id) != strings.EqualFold(n, name) {
					t.Errorf("%q is %q; want %q for the same name alone", n, fieldNames[got], name)
				}
			}
		}
		if got := FieldIDOf(name + "x"); got != FieldOther {
			t.Errorf("%q is %q; want %q", name+"x", fieldNames[got], fieldNames[FieldOther])
		}
	}
	for _, n := range []string{"", "X", "x-y", "Content_Length", strings.Repeat("a", 23), strings.Repeat("a", 24), strings.Repeat("a", 300)} {
		if got := FieldIDOf(n); got != FieldOther {
			t.Errorf("%q is %q; want %q", n, fieldNames[got], fieldNames[FieldOther])
		}
	}
}
