package charset_test

import (
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

func TestTwoCharsetsAreAMistake(t *testing.T) {
	for text, want := range map[string]string{
		"charset utf-8; source_charset koi8-r;":                                      `:1:31: no "charset_map" between the charsets "koi8-r" and "utf-8"`,
		"source_charset koi8-r; server { listen 80; charset utf-8; }":                `:1:16: no "charset_map" between the charsets "koi8-r" and "utf-8"`,
		"source_charset koi8-r; server { listen 80; charset off; }":                  "",
		"source_charset UTF-8; charset utf-8;":                                       "",
		"source_charset $arg_x; charset utf-8;":                                      "",
		"charset utf-8; server { listen 80; location / { source_charset off; } }":    "",
		"charset utf-8; source_charset utf-8; server { listen 80; charset koi8-r; }": `:1:31: no "charset_map" between the charsets "utf-8" and "koi8-r"`,
		"charset utf-8; charset koi8-r;":                                             `directive "charset" is duplicate`,
		"charset_map koi8-r utf-8 { } charset utf-8; source_charset koi8-r;":         "",
		"charset koi8-r; source_charset utf-8; charset_map KOI8-R UTF-8 { }":         "",
		"charset_map a A { }":                     `"charset_map" between the same charsets "a" and "A"`,
		"charset_map utf-8 a { }":                 `charset_map has utf-8 as its second charset`,
		"charset_map a b { } charset_map B a { }": `duplicate "charset_map" between "B" and "a"`,
		"charset_map a b { 80; }":                 `a line of charset_map is a byte of the first charset and what it is in the second, in hexadecimal`,
		"charset_map a b { 100 80; }":             `invalid value "100"; it is a byte in hexadecimal`,
		"charset_map a b { 80 xx; }":              `invalid value "xx"; it is a byte in hexadecimal`,
		"charset_map a utf-8 { 80 F09F9880; }":    `invalid value "F09F9880"; it is a character of utf-8, of up to three bytes in hexadecimal`,
		"charset_map a utf-8 { 80 C3; }":          `invalid value "C3"`,
		"charset_map a utf-8 { 80 C3A4C3A4; }":    `invalid value "C3A4C3A4"`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: text})
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestATextInAnotherCharsetIsLogged(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: `server { listen 80; charset utf-8; source_charset $arg_s; default_type text/html; return 200 text; }`})
	for target, want := range map[string]string{"/?s=koi8-r": "text/html", "/?s=Utf-8": "text/html; charset=utf-8", "/": "text/html; charset=utf-8"} {
		if got := s.Get(target).Header.Get("Content-Type"); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	if n := strings.Count(s.Log.String(), `no "charset_map" between the charsets "koi8-r" and "utf-8"`); n != 1 {
		t.Errorf("logged %d times: %s; want 1", n, s.Log)
	}
}

func TestCharsetsWhereEachPhaseWaits(t *testing.T) { proxytest.RunPausing(t, ".", "Nginx") }
