package geo_test

import (
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

func TestMistakesInGeoHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		`geo x { }`:                             `:1:5: invalid variable name "x"`,
		`geo $host { }`:                         `:1:5: the variable "$host" is the server's own and cannot be defined again`,
		`geo host $x { }`:                       `:1:5: invalid variable name "host"`,
		`geo $hots $x { }`:                      `:1:5: unknown variable "$hots"; did you mean "$host"?`,
		`geo $x { 1.2.3.4; }`:                   `:1:10: invalid line "1.2.3.4" of geo; it is a network and a value, or one of ranges, proxy_recursive and volatile`,
		`geo $x { 1.2.3.4 a b; }`:               `:1:10: a line of geo has 3 words; it is a network and a value`,
		`geo $x { 1.2.3.4 { } }`:                `:1:10: unexpected block in geo; a line is a network and a value`,
		`geo $x { 1.2.3.400 a; }`:               `:1:10: invalid network "1.2.3.400"; it is an address, or a range such as 192.0.2.0/24 or 2001:db8::/32`,
		`geo $x { proxy x; }`:                   `:1:10: invalid network "x"`,
		`geo $x { 1.2.3.4 a; ranges; }`:         `:1:21: the "ranges" directive must be the first directive inside "geo" block`,
		`geo $x { ranges; 1.2.3.4 a; }`:         `:1:18: invalid range "1.2.3.4"; it is two IPv4 addresses, such as 192.0.2.1-192.0.2.9, the lower one first`,
		`geo $x { ranges; 1.2.3.4-1.2.3.3 a; }`: `:1:18: invalid range "1.2.3.4-1.2.3.3"`,
		`geo $x { ranges; ::1-::2 a; }`:         `:1:18: invalid range "::1-::2"`,
		`geo $x { ranges; 1.2.3.4-1.2.3.9 a; 1.2.3.1-1.2.3.5 b; }`: `:1:37: range "1.2.3.1-1.2.3.5" overlaps "1.2.3.4-1.2.3.9"`,
	} {
		_, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: text})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestLinesOfGeoWithoutEffectAreWarnings(t *testing.T) {
	for text, want := range map[string]string{
		`geo $x { 1.2.3.4/24 a; }`:                                 `low address bits of "1.2.3.4/24" are meaningless; it is read as "1.2.3.0/24"`,
		`geo $x { delete 1.2.3.4; }`:                               `no network "1.2.3.4" to delete`,
		`geo $x { 1.2.3.4 a; 1.2.3.4 b; }`:                         `duplicate network "1.2.3.4", value: "b", old value: "a"`,
		`geo $x { ranges; delete 1.2.3.4-1.2.4.4; }`:               `no address range "1.2.3.4-1.2.4.4" to delete`,
		`geo $x { ranges; 1.2.3.4-1.3.4.4 a; 1.2.3.4-1.3.4.4 b; }`: `duplicate range "1.2.3.4-1.3.4.4", value: "b", old value: "a"`,
		`geo $x { ranges; default a; default b; }`:                 `duplicate default geo range value, old value: "a"`,
	} {
		warnings, err := proxytest.Check(t, proxytest.Config{Modules: modules(), Text: text})
		if err != nil || len(warnings) != 1 || warnings[0].Msg != want {
			t.Errorf("%s: %v, %v, want %q", text, warnings, err, want)
		}
	}
}

func TestAVolatileGeoIsReadAnew(t *testing.T) {
	s := proxytest.New(t, proxytest.Config{Modules: modules(), Text: `geo $arg_a $kept { 1.2.3.4 a; default b; } geo $a $each { volatile; 1.2.3.4 a; default b; }
		server { listen 80; set $a 1.2.3.4; set $first "$kept$each"; set $a x; return 200 "$first $kept$each"; }`})
	if got := s.Get("/?a=1.2.3.4").Text(); got != "aa ab" {
		t.Errorf(`got %q, want "aa ab"`, got)
	}
}
