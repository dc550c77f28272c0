package wire

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
)

// contents returns the names and values of e.
func contents(e *Environ) map[string]string {
	m := map[string]string{}
	e.Each(func(name, value string) { m[name] = value })
	return m
}

func TestAnEnvironHasWhatWasAdded(t *testing.T) {
	var e Environ
	for range 2 { // the second one uses the memory of the first
		e.Reset()
		e.Fix("SCRIPT_NAME", "")
		e.Fix("wsgi.url_scheme", "https")
		e.Names("PATH_INFO\x00QUERY_STRING\x00")
		e.Value("/a:b=c\n\xff")
		e.Value("")
		e.AddNumber("CONTENT_LENGTH", 12)
		e.AddField("X-Some_name", ":")
		e.AddField("x=y", "=")
		e.Add("LAST", "")
		want := map[string]string{"SCRIPT_NAME": "", "wsgi.url_scheme": "https", "PATH_INFO": "/a:b=c\n\xff", "QUERY_STRING": "",
			"CONTENT_LENGTH": "12", "HTTP_X_SOME_NAME": ":", "HTTP_X=Y": "=", "LAST": ""}
		if got := contents(&e); !maps.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheEncodingOfAnEnviron(t *testing.T) {
	var e Environ
	e.Fix("A", "1")
	e.Add("B", "2")
	e.Fix("C", "")
	e.Add("D", "")
	got, err := e.AppendTo([]byte("<"))
	if want := "<\x0a\x00\x00\x00A:1\x00B\x00C:\x00D2\x00"; string(got) != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// After a value with a NUL the other values would belong to other names.
func TestAnEnvironWithANULIsRefused(t *testing.T) {
	for _, value := range []string{"\x00", "a\x00b", "b\x00"} {
		var e Environ
		e.Add("A", value)
		e.Add("B", "2")
		if got, err := e.AppendTo(nil); !errors.Is(err, ErrNUL) || len(got) > 0 {
			t.Errorf("%q: got %q, %v, want nothing and %v", value, got, err, ErrNUL)
		}
	}
}

func TestAnEnvironKeepsTheMemoryOfAUsualRequestOnly(t *testing.T) {
	var e Environ
	for i := range 1000 {
		e.AddField("x-"+strconv.Itoa(i), strings.Repeat("v", 20))
	}
	e.Reset()
	if cap(e.shape) > most || cap(e.values) > most {
		t.Errorf("got %d and %d bytes kept, want at most %d each", cap(e.shape), cap(e.values), most)
	}
	e.Add("A", "1")
	shape := cap(e.shape)
	e.Reset()
	if cap(e.shape) != shape || e.count != 0 {
		t.Errorf("got %d bytes kept and the count %d, want %d and 0", cap(e.shape), e.count, shape)
	}
}
