package static

import (
	"io/fs"
	"slices"
	"testing"
	"time"

	"alicorn/proxy"
)

// nginx evaluates all fields; we use the order of RFC 9110 section 13.2.2.
func TestPreconditionsAreTakenInOrder(t *testing.T) {
	v := newValidators(1_000_000_000, 10)
	const same, before, after = "Sun, 09 Sep 2001 01:46:40 GMT", "Sun, 09 Sep 2001 01:46:39 GMT", "Sun, 09 Sep 2001 01:46:41 GMT"
	for _, c := range []struct {
		fields []string // name, value, ...
		status int
	}{
		{nil, 0},
		{[]string{"If-None-Match", v.etag, "If-Modified-Since", before}, 304},
		{[]string{"If-None-Match", `"x"`, "If-Modified-Since", same}, 0},
		{[]string{"If-Match", v.etag, "If-Unmodified-Since", before}, 0},
		{[]string{"If-Match", `"x"`, "If-None-Match", v.etag}, 412},
		{[]string{"If-Match", v.etag, "If-None-Match", v.etag}, 304},
		{[]string{"If-Unmodified-Since", before, "If-None-Match", v.etag}, 412},
		{[]string{"If-Unmodified-Since", "nonsense"}, 0},
		{[]string{"If-None-Match", `"x"`, "If-None-Match", v.etag}, 304},
		{[]string{"If-Match", `"x", W/` + v.etag}, 412},
		{[]string{"If-Match", `W/"x",` + v.etag}, 0},
		{[]string{"If-None-Match", "x" + v.etag}, 0},
		{[]string{"If-Modified-Since", after}, 0},
	} {
		var r proxy.Request
		for i := 0; i < len(c.fields); i += 2 {
			r.Header.Add(c.fields[i], c.fields[i+1])
		}
		if got := (&site{}).precondition(&r, v, v.etag); got != c.status {
			t.Errorf("%q: got %d, want %d", c.fields, got, c.status)
		}
	}
}

func TestETagsAreNginxs(t *testing.T) {
	for _, c := range []struct {
		modified, size int64
		etag           string
	}{{0, 0, `"0-0"`}, {1715941230, 20, `"66472f6e-14"`}, {1 << 32, 1 << 40, `"100000000-10000000000"`}} {
		table := new(validatorTable)
		for range 2 {
			if got := table.of(c.modified, c.size); got.etag != c.etag || got.lastModified != formatDate(c.modified) {
				t.Errorf("got %+v, want %s", got, c.etag)
			}
		}
	}
}

func TestExpiryValues(t *testing.T) {
	now := time.Date(2024, 5, 17, 12, 0, 0, 0, time.Local)
	modified := formatDate(now.Add(-time.Hour).Unix())
	for _, c := range []struct {
		word     string
		modified bool
		after    time.Duration // from now
		age      string
	}{
		{"0", false, 0, "max-age=0"},
		{"30d", false, 30 * 24 * time.Hour, "max-age=2592000"},
		{"+1h", false, time.Hour, "max-age=3600"},
		{"-1h", false, -time.Hour, "no-cache"},
		{"2h", true, time.Hour, "max-age=3600"},
		{"1m", true, -59 * time.Minute, "no-cache"},
		{"-1m", true, -61 * time.Minute, "no-cache"},
		{"@13h", false, time.Hour, "max-age=3600"},
		{"@12h", false, 24 * time.Hour, "max-age=86400"},
		{"@11h30m", false, 23*time.Hour + 30*time.Minute, "max-age=84600"},
	} {
		e, err := parseExpiry(c.word, c.modified)
		got := e.text(now, modified)
		if want := formatDate(now.Add(c.after).Unix()); err != nil || got.expires != want || got.age != c.age {
			t.Errorf("%s (modified %v): got %q %q %v, want %q %q", c.word, c.modified, got.expires, got.age, err, want, c.age)
		}
	}
	for _, c := range []struct {
		word     string
		modified bool
	}{{"", false}, {"tomorrow", false}, {"@25h", false}, {"@-1h", false}, {"--1", false}, {"max", true}, {"off", true}, {"@1h", true}} {
		if e, err := parseExpiry(c.word, c.modified); err == nil {
			t.Errorf("%q (modified %v) was taken as %+v", c.word, c.modified, e)
		}
	}
}

func TestNamesThatClimb(t *testing.T) {
	for name, want := range map[string]bool{"..": true, "../a": true, "a/..": true, "a/../b": true, "/..": true, "a\x00b": true,
		"": false, "a..": false, "..a": false, "a/..b": false, "a../b": false, "...": false, "a/.../b": false, "./a": false, "a/./b": false} {
		if got := climbs(name); got != want {
			t.Errorf("%q: got %v; want %v", name, got, want)
		}
	}
}

func TestListsCutLongNamesBetweenCharacters(t *testing.T) {
	for _, c := range []struct {
		n     int
		shown int
	}{{10, 10}, {50, 50}, {51, 47}} {
		name := string(slices.Repeat([]rune("é"), c.n))
		e := entry{name, listed{}}
		got := []rune(string(appendShown(nil, e)))
		for i := range c.shown {
			if got[i] != 'é' {
				t.Errorf("%d characters: %q", c.n, string(got))
				break
			}
		}
		if got[c.shown] == 'é' || got[c.shown] == '\uFFFD' {
			t.Errorf("%d characters: %q", c.n, string(got))
		}
	}
}

// listed is the FileInfo of a small file.
type listed struct{ fs.FileInfo }

func (listed) IsDir() bool { return false }
