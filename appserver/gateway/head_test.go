package gateway

import (
	"testing"

	"alicorn/appserver/pool"
)

func TestAStatusKeepsItsReason(t *testing.T) {
	for _, c := range []struct {
		status, reason string
		code           int // 0: an error
	}{
		{"200 OK", "OK", 200},
		{"302 Found", "Found", 302},
		{"299 Wild  One ", "Wild  One", 299},
		{"404", "", 404},
		{"404 ", "", 404},
		{"200 \u00e9t\u00e9", "\xe9t\xe9", 200},
		{"200 a\r\nX: b", "", 0},
		{"200 \u0394", "", 0},
		{"200 \x00", "", 0},
		{"100 Continue", "", 0},
		{"101 Switching Protocols", "", 0},
		{"2000 OK", "", 0},
		{"", "", 0},
	} {
		h := &pool.Head{}
		err := begin(h, []byte(c.status))
		if c.code == 0 {
			if err == nil {
				t.Errorf("%q: no error", c.status)
			}
		} else if err != nil || h.Status != c.code || h.Reason != c.reason {
			t.Errorf("%q: %d %q, %v; want %d %q", c.status, h.Status, h.Reason, err, c.code, c.reason)
		}
	}
}
