package proxy

import "testing"

func TestAReasonHoldsForItsStatus(t *testing.T) {
	var r Response
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() { r.Status = 200 }, "OK"},
		{func() { r.SetStatus(200, "Fine") }, "Fine"},
		{func() { r.Status = 304 }, "Not Modified"},
		{func() { r.SetStatus(302, "") }, "Moved Temporarily"},
		{func() { r.SetStatus(299, "Wild One") }, "Wild One"},
	} {
		if step.change(); r.Reason() != step.want {
			t.Errorf("status %d: %q, want %q", r.Status, r.Reason(), step.want)
		}
	}
}
