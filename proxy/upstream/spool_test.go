package upstream

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// read spools body as a request would have it.
func read(t *testing.T, body string, chunked bool, inline int, memory int64, dir string) *Body {
	t.Helper()
	s := proxytest.New(t, proxytest.Config{Text: "server { listen 127.0.0.1:80; }"})
	rec := proxytest.NewRecorder(body)
	x := proxy.NewExchange(&proxy.Conn{}, rec)
	x.Server = s.Engine.Current().Servers[0]
	x.Req.ContentLength, x.Req.Chunked = int64(len(body)), chunked
	if chunked {
		x.Req.ContentLength = -1
	}
	b := &Body{}
	if err := b.Read(x, &Storage{Inline: inline, Memory: memory, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBodiesGoWhereTheirSizeSays(t *testing.T) {
	const inline, memory = 100, 200 << 10
	for _, c := range []struct {
		size         int
		file, onDisk bool
	}{{0, false, false}, {100, false, false}, {101, true, false}, {150 << 10, true, false}, {200 << 10, true, false}, {200<<10 + 1, true, true}, {900 << 10, true, true}} {
		for _, chunked := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "made")
			body := strings.Repeat("x", c.size)
			b := read(t, body, chunked, inline, memory, dir)
			got := b.Inline
			if b.File != nil {
				got, _ = io.ReadAll(b.File)
			}
			_, err := os.Stat(dir)
			if string(got) != body || b.Length != int64(c.size) || (b.File != nil) != c.file || (err == nil) != c.onDisk {
				t.Errorf("size %d, chunked %v: got %d bytes, file %v, disk %v, want all, %v, %v", c.size, chunked, len(got), b.File != nil, err == nil, c.file, c.onDisk)
			}
			if names, _ := os.ReadDir(dir); len(names) > 0 {
				t.Errorf("size %d left %v; want nothing", c.size, names)
			}
			b.Close()
		}
	}
}

func TestAResponseKeepsItsOrderThroughMemoryAndDisk(t *testing.T) {
	for _, c := range []struct {
		name         string
		memory, disk int64
		batch        int // blocks put before blocks are taken
		over         bool
	}{
		{"memory", 1 << 20, 1 << 20, 3, false},
		{"disk", 10, 1 << 20, 8, false},
		{"past the disk", 10, 20, 8, true},
		{"no disk", 10, 0, 8, true},
	} {
		w := &WriteBehind{Memory: c.memory, Disk: c.disk, Dir: t.TempDir()}
		var want, got bytes.Buffer
		var over bool
		var withheld, back int64
		take := func() {
			for {
				b, ok, _, n := w.Next()
				back += n
				if !ok {
					return
				}
				if b.File != nil {
					io.Copy(&got, io.NewSectionReader(b.File, b.Offset, b.Size))
				} else {
					got.Write(b.Data)
				}
			}
		}
		for round := range 5 {
			for i := range c.batch {
				block := bytes.Repeat([]byte{byte('a' + round), byte('0' + i)}, 4)
				want.Write(block)
				_, o, err := w.Put(block, nil)
				if err != nil {
					t.Fatal(err)
				}
				if over = over || o; o {
					withheld += int64(len(block))
				}
			}
			if o := w.Full(); o != c.over {
				t.Errorf("%s: full %v; want %v", c.name, o, c.over)
			}
			take()
		}
		w.End(nil)
		if _, ok, ended, _ := w.Next(); ok || !ended {
			t.Errorf("%s: no end; want ok false and ended true", c.name)
		}
		if got.String() != want.String() || over != c.over || back != withheld {
			t.Errorf("%s: order kept %v, over %v, %d of %d withheld bytes came back; want %q and %v", c.name, got.String() == want.String(), over, back, withheld, want.String(), c.over)
		}
		w.Drop(nil)
		if kept, o, err := w.Put([]byte("x"), nil); kept || o || err != nil || !w.Idle() {
			t.Errorf("%s: Put after Drop: got kept %v, over %v, %v, want that nothing is kept", c.name, kept, o, err)
		}
	}
}

// A file that cannot be made, or not be written further, costs speed and no byte.
func TestAResponseGoesOnWithoutItsFile(t *testing.T) {
	noFolder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(noFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dir string
		at        int // the block from which on the file cannot be written
	}{{"no file", noFolder, -1}, {"no more of the file", t.TempDir(), 4}, {"while the client has part of it", t.TempDir(), 6}} {
		t.Run(c.name, func(t *testing.T) {
			w := &WriteBehind{Memory: 10 + blockOverhead, Disk: 1 << 20, Dir: c.dir}
			var want, got strings.Builder
			var withheld, back int64
			failures := 0
			take := func(most int) {
				for range most {
					b, ok, _, n := w.Next()
					back += n
					if !ok {
						return
					}
					if b.File != nil {
						io.Copy(&got, io.NewSectionReader(b.File, b.Offset, b.Size))
					} else {
						got.Write(b.Data)
					}
				}
			}
			for i := range 20 {
				if i == c.at {
					readOnly(t, w)
				}
				block := bytes.Repeat([]byte{byte('a' + i)}, 8)
				want.Write(block)
				_, over, err := w.Put(block, nil)
				if err != nil {
					failures++
				}
				if over {
					withheld += int64(len(block))
				}
				if i > max(c.at, 2) && !w.Full() {
					t.Errorf("after block %d: got Full false, want true", i)
				}
				if i == 5 {
					take(2)
				}
			}
			take(100)
			w.End(nil)
			if _, ok, ended, _ := w.Next(); ok || !ended || !w.Idle() {
				t.Errorf("a block %v, ended %v, idle %v; want false, true and true", ok, ended, w.Idle())
			}
			if got.String() != want.String() || back != withheld || failures != 1 {
				t.Errorf("got %q, want %q; %d of %d withheld bytes came back; %d errors, want 1", got.String(), want.String(), back, withheld, failures)
			}
		})
	}
}

func TestAMissingTemporaryFolderIsNamedWithTheRemedy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("nowhere", dir); err != nil {
		t.Fatal(err)
	}
	_, err := TempFile(dir)
	if want := fmt.Sprintf("the folder for temporary files %q is missing and cannot be made: file exists; a start or a reload by root makes it", dir); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// readOnly makes writes to w's file fail.
func readOnly(t *testing.T, w *WriteBehind) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/dev/fd/%d", w.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	w.file.Close()
	w.file = f
}

// TestSmallBlocksCountForWhatTheyTake puts blocks of a byte until memory is full:
// what they take beside their bytes counts, too.
func TestSmallBlocksCountForWhatTheyTake(t *testing.T) {
	const memory = 256 << 10
	w := &WriteBehind{Memory: memory}
	n := 0
	for ; n < memory; n++ {
		if _, over, _ := w.Put([]byte("x"), nil); over {
			break
		}
	}
	if n > memory/blockOverhead {
		t.Errorf("%d blocks of a byte were held in %d bytes; want at most %d", n, memory, memory/blockOverhead)
	}
	w.Drop(nil)
}
