package h1

import (
	"bytes"
	"testing"
)

// consistsOf, which tests eight bytes at a time, agrees with allOf, wherever a byte stands.
func TestConsistsOfAgreesWithAllOf(t *testing.T) {
	for n := range 27 {
		for at := range n {
			for c := range 256 {
				b := bytes.Repeat([]byte("a"), n)
				b[at] = byte(c)
				if got, want := consistsOf(b, inValue, ' '), allOf(b, inValue); got != want {
					t.Fatalf("value %q: got %v, want %v", b, got, want)
				}
				if got, want := consistsOf(b, inTarget, '!'), allOf(b, inTarget); got != want {
					t.Fatalf("target %q: got %v, want %v", b, got, want)
				}
				b[(at*7+3)%n] = '\t' // so that the eight are looked up byte by byte
				if got, want := consistsOf(b, inValue, ' '), allOf(b, inValue); got != want {
					t.Fatalf("value %q: got %v, want %v", b, got, want)
				}
			}
		}
	}
}
