package proxy

import "testing"

func TestPrintableTextRulesNoTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain, \u00fcber, \u65e5\u672c\n\tnext": "plain, \u00fcber, \u65e5\u672c\n\tnext",
		"\x1b[2Jx\r\x00\x7f":                     `\x1B[2Jx\x0D\x00\x7F`,
		"\u009b2J":                               `\xC2\x9B2J`,
		"\x9b2J\xff":                             `\x9B2J\xFF`,
		"a\u202egpj":                             `a\xE2\x80\xAEgpj`,
		"\ufffd":                                 `\xEF\xBF\xBD`,
		"":                                       "",
		"ab\x1bcd\u00fcef\xff":                   `ab\x1Bcd` + "\u00fcef" + `\xFF`,
		"\x7f~ \x1f":                             `\x7F~ \x1F`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
