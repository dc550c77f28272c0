package wire

import "testing"

func TestAnArenaGivesEveryBlockOnce(t *testing.T) {
	a, err := NewArena()
	if err != nil || a == nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	var last int64
	for range arenaBlocks {
		b, offset := a.Take(arenaBlock)
		if len(b) != arenaBlock || cap(b) != arenaBlock || seen[offset] {
			t.Fatalf("got %d bytes of %d at %d, which was given before: %v", len(b), cap(b), offset, seen[offset])
		}
		b[0], b[len(b)-1] = 1, 2
		seen[offset], last = true, offset
	}
	if b, _ := a.Take(1); b != nil {
		t.Error("more blocks were given than there are")
	}
	a.Give(last)
	if b, offset := a.Take(10); len(b) != 10 || offset != last || b[0] != 1 {
		t.Errorf("got %d bytes at %d, want the block that came back", len(b), offset)
	}
	if b, _ := a.Take(arenaBlock + 1); b != nil {
		t.Error("a block was given for more than it holds")
	}
}

func TestAnArenaIsTrimmedWhereNobodyHasABlock(t *testing.T) {
	a, err := NewArena()
	if err != nil || a == nil {
		t.Fatal(err)
	}
	kept, _ := a.Take(arenaBlock)
	back, offset := a.Take(arenaBlock)
	kept[5], back[5] = 7, 8
	a.Give(offset)
	a.Trim()
	if kept[5] != 7 || back[5] != 0 {
		t.Errorf("got %d and %d, want 7 of the block in use and nothing of the other", kept[5], back[5])
	}
}

func TestAClosedArenaLivesUntilItsBlocksAreBack(t *testing.T) {
	a, err := NewArena()
	if err != nil || a == nil {
		t.Fatal(err)
	}
	b, offset := a.Take(10)
	a.Close()
	copy(b, "still here")
	if other, _ := a.Take(1); other != nil {
		t.Error("a closed arena gave a block")
	}
	a.Give(offset)
	if a.mem != nil {
		t.Error("the memory is still mapped")
	}
}
