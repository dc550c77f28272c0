package static_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy/proxytest"
)

// openUnder lists the files below root that this process has open.
func openUnder(t *testing.T, root string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, root+"/") {
			names = append(names, strings.TrimSuffix(to[len(root)+1:], " (deleted)"))
		}
	}
	return names
}

func manyFiles(n, size int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprint(i)] = strings.Repeat("x", size)
	}
	return files
}

func TestNoMoreFilesAreOpenThanTheCacheMayKeep(t *testing.T) {
	root := folder(t, manyFiles(20, 100_000))
	s := start(t, root, "server { listen 80; root ROOT; open_file_cache max=7; location /twice/ { alias ROOT/; open_file_cache max=100; open_file_cache_min_uses 2; } }")
	for round := range 3 {
		for i := range 20 {
			s.Get(fmt.Sprint("/", i))
		}
		if got := openUnder(t, root); len(got) != 7 {
			t.Errorf("round %d: open are %v; want 7 of them", round, got)
		}
	}
	for i, c := range []struct {
		target string
		open   int
	}{{"/twice/1", 7}, {"/twice/2", 7}, {"/twice/2", 8}, {"/twice/2", 8}, {"/twice/1", 9}} {
		s.Get(c.target)
		if got := openUnder(t, root); len(got) != c.open {
			t.Errorf("%d, %s: open are %v, want %d", i, c.target, got, c.open)
		}
	}
	if err := s.Reload("server { listen 80; root " + root + "; }"); err != nil {
		t.Fatal(err)
	}
	if got := openUnder(t, root); len(got) != 0 {
		t.Errorf("after a reload, open are %v; want nothing", got)
	}
}

func TestFilesInMemoryAndFoldersAreNotOpen(t *testing.T) {
	root := folder(t, map[string]string{"a": "a", "d/index.html": "i", "large": strings.Repeat("x", 100_000)})
	s := start(t, root, "server { listen 80; root ROOT; open_file_cache max=10; }")
	for range 3 {
		for _, target := range []string{"/a", "/d", "/d/", "/large"} {
			s.Get(target)
		}
	}
	if got := openUnder(t, root); len(got) != 1 || got[0] != "large" {
		t.Errorf(`open are %v, want one and "large"`, got)
	}
}

// A file that the cache drops is closed only when no response needs it.
func TestAFileInUseIsNotClosed(t *testing.T) {
	for _, size := range []int{10_000, 300_000} {
		for name, forget := range map[string]func(t *testing.T, s *proxytest.Server, root string){
			"evicted": func(t *testing.T, s *proxytest.Server, root string) { s.Get("/1"); s.Get("/2") },
			"replaced": func(t *testing.T, s *proxytest.Server, root string) {
				replace(t, filepath.Join(root, "0"), "new", changed)
				s.Get("/now/0")
			},
			"removed": func(t *testing.T, s *proxytest.Server, root string) {
				os.Remove(filepath.Join(root, "0"))
				s.Get("/now/0")
			},
		} {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				root := folder(t, manyFiles(3, size))
				var s *proxytest.Server
				asked := 0
				s = startWith(t, root, "server { listen 80; root ROOT; open_file_cache max=1; open_file_cache_memory off; location /now/ { alias ROOT/; open_file_cache_valid 0; } }",
					during(func() {
						if asked++; asked == 2 {
							forget(t, s, root)
						}
					}))
				s.Get("/0")
				r := s.Get("/0")
				if r.Length != int64(size) || r.Text() != strings.Repeat("x", size) {
					t.Errorf("got %d bytes of %d", len(r.Text()), r.Length)
				}
				if got := openUnder(t, root); len(got) > 1 {
					t.Errorf("the old one is still open: %v; want at most 1 of them", got)
				}
			})
		}
	}
}

func TestACacheThatIsReplacedClosesItsFilesAfterTheLastAnswer(t *testing.T) {
	root := folder(t, map[string]string{"a": strings.Repeat("x", 8<<20)})
	text := "server { listen 80; root " + root + "; open_file_cache max=10; }"
	s := start(t, root, text)
	s.Get("/a")
	nc := s.Dial("")
	io.WriteString(nc, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	first := make([]byte, 1000)
	if _, err := io.ReadFull(nc, first); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Reload(text) }()
	rest, err := io.ReadAll(nc)
	if err != nil || len(first)+len(rest) < 8<<20 {
		t.Errorf("got %d bytes, %v; want at least 8<<20", len(first)+len(rest), err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := openUnder(t, root); len(got) != 0 {
		t.Errorf("open are %v, want nothing", got)
	}
}
