package h1

import (
	"bytes"
	"testing"
)

// Eight bytes at a time give what one at a time gives, wherever a byte stands.
func TestBytesAreJudgedAlikeInAnyPlace(t *testing.T) {
	for n := range 27 {
		for at := range n {
			for c := range 256 {
				b := bytes.Repeat([]byte("a"), n)
				b[at] = byte(c)
				if got, want := consistsOf(b, inValue, ' '), allOf(b, inValue); got != want {
					t.Fatalf("value %q: %v, one by one %v", b, got, want)
				}
				if got, want := consistsOf(b, inTarget, '!'), allOf(b, inTarget); got != want {
					t.Fatalf("target %q: %v, one by one %v", b, got, want)
				}
				b[(at*7+3)%n] = '\t' // a tab beside it: the eight are looked at again
				if got, want := consistsOf(b, inValue, ' '), allOf(b, inValue); got != want {
					t.Fatalf("value %q: %v, one by one %v", b, got, want)
				}
			}
		}
	}
}
