package appserver

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestAShareIsThatOfTheSmallestFileSystem(t *testing.T) {
	const giga = int64(1) << 30
	for _, c := range []struct {
		percent int
		sizes   []int64
		want    int64
	}{
		{20, []int64{1000 * giga}, 200 * giga},
		{20, []int64{1000 * giga, 100}, 20},
		{20, []int64{100, 1000 * giga}, 20},
		{100, []int64{300, 200, 500}, 200},
		{20, []int64{0, 500}, 100}, // the first has no bound
		{1, []int64{7}, 1},         // 0 would be none
		{20, []int64{0}, 0},
		{20, nil, 0},
	} {
		if got := (tempSpace{percent: c.percent}).shareOf(c.sizes); got != c.want {
			t.Errorf("%d%% of %v is %d; want %d", c.percent, c.sizes, got, c.want)
		}
	}
}

// Each folder counts that a location with an application may write to, and no other.
func TestTheBoundOfTemporaryFilesLooksAtAllTheirFolders(t *testing.T) {
	dir := t.TempDir()
	r := &Rollout{}
	r.usesTemporary(filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	r.usesTemporary(filepath.Join(dir, "a"), filepath.Join(dir, "c"))
	want := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}
	if !slices.Equal(r.temporary, want) {
		t.Errorf("folders %q; want %q", r.temporary, want)
	}
	if got, err := (tempSpace{percent: 20}).bytesIn(r.temporary); err != nil || got <= 0 {
		t.Errorf("a share of folders that are not there yet: %d, %v; want more than 0", got, err)
	}
}
