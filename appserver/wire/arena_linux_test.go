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
			t.Fatalf("got %d bytes of %d at %d, given before %v, want a new block of %d", len(b), cap(b), offset, seen[offset], arenaBlock)
		}
		b[0], b[len(b)-1] = 1, 2
		seen[offset], last = true, offset
	}
	if b, _ := a.Take(1); b != nil {
		t.Error("got a block, want none, as all are taken")
	}
	a.Give(last)
	if b, offset := a.Take(10); len(b) != 10 || offset != last || b[0] != 1 {
		t.Errorf("got %d bytes at %d, want 10 of the block at %d", len(b), offset, last)
	}
	if b, _ := a.Take(arenaBlock + 1); b != nil {
		t.Error("got a block for a size that no block has, want none")
	}
}

func TestTrimFreesThePagesOfFreeBlocks(t *testing.T) {
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
		t.Errorf("got %d in the block in use and %d in the free one, want 7 and 0", kept[5], back[5])
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
		t.Error("got a block of a closed arena, want none")
	}
	a.Give(offset)
	if a.mem != nil {
		t.Error("got the memory mapped after the last block came back, want it unmapped")
	}
}
