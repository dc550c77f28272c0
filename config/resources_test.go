package config_test

import (
	"errors"
	"slices"
	"testing"

	"alicorn/config"
)

type thing struct {
	name   string
	closed int
}

func (t *thing) Close() error { t.closed++; return nil }

func hold(t *testing.T, r *config.Resources, key string) *thing {
	t.Helper()
	v, err := config.Hold(r, key, func() (*thing, error) { return &thing{name: key}, nil })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheNextReadingTakesOverWhatItAsksFor(t *testing.T) {
	first := config.NewResources(nil)
	kept, dropped := hold(t, first, "kept"), hold(t, first, "dropped")
	second := first.Next(nil)
	if hold(t, second, "kept") != kept || hold(t, first, "kept") != kept {
		t.Errorf("one key has %+v and %+v, want %+v for both", hold(t, first, "kept"), hold(t, second, "kept"), kept)
	}
	fresh := hold(t, second, "fresh")
	first.Release()
	if kept.closed != 0 || dropped.closed != 1 || fresh.closed != 0 {
		t.Errorf("after the first Release: %+v %+v %+v; want closed 0, closed 1 and closed 0", kept, dropped, fresh)
	}
	second.Release()
	if kept.closed != 1 || dropped.closed != 1 || fresh.closed != 1 {
		t.Errorf("after the last Release: %+v %+v %+v; want closed 1, closed 1 and closed 1", kept, dropped, fresh)
	}
}

func TestAFailedReadingIsUndoneByRelease(t *testing.T) {
	first := config.NewResources(nil)
	kept := hold(t, first, "kept")
	failed := first.Next(nil)
	hold(t, failed, "kept")
	fresh := hold(t, failed, "fresh")
	failed.Release()
	if kept.closed != 0 || fresh.closed != 1 {
		t.Errorf("got %+v %+v; want closed 0 and closed 1", kept, fresh)
	}
	third := first.Next(nil)
	if hold(t, third, "kept") != kept {
		t.Error("the thing was lost with the failed reading")
	}
	if again := hold(t, third, "fresh"); again == fresh {
		t.Error("a closed thing was taken over")
	}
}

func TestAThingHeldTwiceHasOneShare(t *testing.T) {
	r := config.NewResources(nil)
	a := hold(t, r, "a")
	hold(t, r, "a")
	r.Release()
	r.Release()
	if a.closed != 1 {
		t.Errorf("closed %d times, want 1", a.closed)
	}
}

func TestWhatSkippedAReadingIsNotTakenOver(t *testing.T) {
	first := config.NewResources(nil)
	a := hold(t, first, "a")
	second := first.Next(nil)
	first.Release()
	if third := second.Next(nil); hold(t, third, "a") == a {
		t.Error("a closed thing was taken over")
	}
}

func TestOpenersErrorsAreReturnedAndNothingIsHeld(t *testing.T) {
	r := config.NewResources(nil)
	want := errors.New("no")
	if _, err := config.Hold(r, "a", func() (*thing, error) { return nil, want }); err != want {
		t.Errorf("got %v, want %v", err, want)
	}
	if a := hold(t, r, "a"); a.name != "a" {
		t.Errorf(`got %+v, want name "a"`, a)
	}
	if _, err := config.Hold(r, "a", func() (int, error) { return 1, nil }); err == nil {
		t.Error("one key held two types")
	}
}

func TestEachSeesWhatIsHeld(t *testing.T) {
	r := config.NewResources(nil)
	hold(t, r, "a")
	next := r.Next(nil)
	hold(t, next, "b")
	var keys []string
	next.Each(func(key string, _ any) { keys = append(keys, key) })
	if !slices.Equal(keys, []string{"b"}) {
		t.Errorf("got %v, want %v", keys, []string{"b"})
	}
}

func TestWhatIsStaleIsMadeAnew(t *testing.T) {
	first := config.NewResources(nil)
	old := hold(t, first, "socket")
	fresh := func(r *config.Resources, stale bool) *thing {
		v, err := config.HoldFresh(r, "socket", func(*thing) bool { return stale }, func() (*thing, error) { return &thing{name: "anew"}, nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	second := first.Next(nil)
	anew := fresh(second, true)
	if anew == old || fresh(second, true) != anew {
		t.Error("the stale thing was taken over, or a reading has two")
	}
	first.Release()
	third := second.Next(nil)
	if fresh(third, false) != anew {
		t.Error("a thing that is not stale was made anew")
	}
	second.Release()
	if old.closed != 1 || anew.closed != 0 {
		t.Errorf("the stale one was closed %d times, the new one %d; want 1 and 0", old.closed, anew.closed)
	}
	third.Release()
}
