package charset_test

import (
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

func TestTwoCharsetsAreAMistake(t *testing.T) {
	for text, want := range map[string]string{
		"charset utf-8; source_charset koi8-r;":                                      `:1:31: charset is "utf-8" and source_charset is "koi8-r": no text is converted`,
		"source_charset koi8-r; server { listen 80; charset utf-8; }":                `:1:16: charset is "utf-8" and source_charset is "koi8-r": no text is converted`,
		"source_charset koi8-r; server { listen 80; charset off; }":                  "",
		"source_charset UTF-8; charset utf-8;":                                       "",
		"source_charset $arg_x; charset utf-8;":                                      "",
		"charset utf-8; server { listen 80; location / { source_charset off; } }":    "",
		"charset utf-8; source_charset utf-8; server { listen 80; charset koi8-r; }": `:1:31: charset is "koi8-r" and source_charset is "utf-8"`,
		"charset utf-8; charset koi8-r;":                                             `directive "charset" is duplicate`,
		"charset_map koi8-r utf-8;":                                                  "charset_map",
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
	if n := strings.Count(s.Log.String(), `cannot convert a text from the charset "koi8-r" to "utf-8"`); n != 1 {
		t.Errorf("logged %d times: %s", n, s.Log)
	}
}
