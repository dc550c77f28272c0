package proxy_test

import (
	"strings"
	"testing"

	"alicorn/proxy"
)

// RFC 9110 section 5.6.2: a token has visible ASCII without delimiters.
func TestTokens(t *testing.T) {
	for c := range 256 {
		want := c > ' ' && c < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(c))
		if got := proxy.IsTokenByte(byte(c)); got != want {
			t.Errorf("byte %q: %v, want %v", byte(c), got, want)
		}
		text := "a" + string([]byte{byte(c)}) + "Z"
		if proxy.IsToken(text) != want || proxy.IsToken([]byte(text)) != want {
			t.Errorf("%q: not %v as text and as bytes", text, want)
		}
	}
	if proxy.IsToken("") || proxy.IsToken([]byte(nil)) {
		t.Error("nothing is a token")
	}
}
