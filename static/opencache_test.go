package static_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/proxy/proxytest"
)

// replace puts content under name as another file, changed at that time.
func replace(t testing.TB, name, content string, at time.Time) {
	t.Helper()
	err := os.WriteFile(name+".new", []byte(content), 0o644)
	if err == nil {
		err = os.Chtimes(name+".new", at, at)
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// overwrite changes the file itself.
func overwrite(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func texts(s *proxytest.Server, target string, times int) (all []string) {
	for range times {
		all = append(all, s.Get(target).Text())
	}
	return all
}

func TestKnownFilesAreBelievedForTheValidTime(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name, first, second, third string
		change                     func(t testing.TB, name, content string)
		believed                   bool
	}{
		{"small, replaced", "one", "two!", "three", func(t testing.TB, name, content string) { replace(t, name, content, changed) }, true},
		{"small, changed in place", "one", "two!", "three", overwrite, true},
		{"large, replaced", big, big + "2", big + "33", func(t testing.TB, name, content string) { replace(t, name, content, changed) }, true},
		{"large, changed in place", big, big + "2", big + "33", overwrite, false},
		{"replaced by one of the same time and size", "one", "two", "333", func(t testing.TB, name, content string) { replace(t, name, content, changed) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := folder(t, map[string]string{"a.txt": c.first})
			name := filepath.Join(root, "a.txt")
			s := start(t, root, "server { listen 80; root ROOT; open_file_cache max=10; location /now/ { open_file_cache_valid 0; alias ROOT/; } }")
			first := s.Get("/a.txt")
			texts(s, "/a.txt", 2)
			c.change(t, name, c.second)
			want := c.second
			if c.believed {
				want = c.first
			}
			r := s.Get("/a.txt")
			if r.Text() != want || r.Length != int64(len(want)) || (r.Header.Get("ETag") == first.Header.Get("ETag")) != c.believed {
				t.Errorf("within the time: got %.10q of %d and %+v", r.Text(), r.Length, r.Header)
			}
			for _, target := range []string{"/now/a.txt", "/a.txt"} {
				if r := s.Get(target); r.Text() != c.second || r.Length != int64(len(c.second)) {
					t.Errorf("%s, after the time: got %.10q of %d; want %.10q and %d", target, r.Text(), r.Length, c.second, int64(len(c.second)))
				}
			}
			c.change(t, name, c.third)
			if r := s.Get("/now/a.txt"); r.Text() != c.third {
				t.Errorf("changed again: got %.10q; want %.10q", r.Text(), c.third)
			}
		})
	}
}

func TestRemovedFilesAndErrorsAreForgottenAfterTheValidTime(t *testing.T) {
	root := folder(t, map[string]string{"a.txt": "a", "gone.txt": "gone"})
	s := start(t, root, `server { listen 80; root ROOT; open_file_cache max=10;
		location /now/ { open_file_cache_valid 0; alias ROOT/; }
		location /errors/ { open_file_cache_errors on; alias ROOT/; }
		location /off/ { open_file_cache off; alias ROOT/; } }`)
	status := func(target string, want int) {
		t.Helper()
		if r := s.Get(target); r.Status != want {
			t.Errorf("%s: got %d, want %d", target, r.Status, want)
		}
	}
	status("/gone.txt", 200)
	os.Remove(filepath.Join(root, "gone.txt"))
	status("/gone.txt", 200)
	status("/off/gone.txt", 404)
	status("/now/gone.txt", 404)
	status("/gone.txt", 404)

	status("/errors/new.txt", 404)
	overwrite(t, filepath.Join(root, "new.txt"), "new")
	status("/errors/new.txt", 404)
	status("/new.txt", 404) // what is remembered is for all, as in nginx
	status("/off/new.txt", 200)
	status("/now/new.txt", 200)
	status("/errors/new.txt", 200)

	status("/later.txt", 404)
	overwrite(t, filepath.Join(root, "later.txt"), "later")
	status("/later.txt", 200)
}

// A file in memory is sent whole and in one version, even if it changes while the head is
// made.
func TestAFileInMemoryStaysOneVersion(t *testing.T) {
	root := folder(t, map[string]string{"a.txt": "old content"})
	var change atomic.Bool
	s := startWith(t, root, "server { listen 80; root ROOT; open_file_cache max=10; }", during(func() {
		if change.Load() {
			overwrite(t, filepath.Join(root, "a.txt"), "new and longer content")
		}
	}))
	texts(s, "/a.txt", 2)
	change.Store(true)
	for range 2 {
		if r := s.Get("/a.txt"); r.Text() != "old content" || r.Length != 11 || r.Header.Get("Last-Modified") != changedText {
			t.Errorf(`got %q and %+v; want "old content", Length 11 and Last-Modified %q`, r.Text(), r.Header, changedText)
		}
	}
}

func TestFreshlyChangedFilesAreNotKeptInMemory(t *testing.T) {
	root := folder(t, map[string]string{"a.txt": "one"})
	name := filepath.Join(root, "a.txt")
	now := time.Now()
	for age, kept := range map[time.Duration]bool{0: false, time.Second / 2: false, time.Minute: true, -time.Hour: true} {
		replace(t, name, "one", now.Add(-age))
		s := start(t, root, "server { listen 80; root ROOT; open_file_cache max=10; }")
		texts(s, "/a.txt", 3)
		overwrite(t, name, "another")
		if got := s.Get("/a.txt").Text(); (got == "one") != kept {
			t.Errorf(`changed %s ago: got %q; want "one" kept: %v`, age, got, kept)
		}
	}
}

func TestEveryWayToAFileGoesThroughTheCache(t *testing.T) {
	root := folder(t, map[string]string{"d/index.html": "index", "a.txt": "0123456789", "a.txt.gz": "packed", "page.html": "page"})
	s := start(t, root, `server { listen 80; root ROOT; open_file_cache max=100; error_page 404 /page.html;
		location /try/ { try_files $uri /a.txt; }
		location /gz/ { alias ROOT/; gzip_static on; expires 1h; add_header X-Added yes; } }`)
	ask := func() (all []string) {
		for _, r := range []struct{ target, field string }{{"/d/", ""}, {"/try/x", ""}, {"/gz/a.txt", "Accept-Encoding: gzip"}, {"/gz/a.txt", ""}, {"/nothing", ""},
			{"/a.txt", "Range: bytes=2-4"}, {"/a.txt", "Range: bytes=0-1,4-5"}, {"/a.txt", "If-Modified-Since: " + changedText}, {"/d", ""}} {
			var fields []string
			if r.field != "" {
				fields = append(fields, r.field)
			}
			rec := s.Get(r.target, fields...)
			all = append(all, fmt.Sprint(r.target, " ", r.field, " ", rec.Status, rec.Length, rec.Header.Get("Content-Encoding"), rec.Header.Get("X-Added"), rec.Header.Get("Content-Type")[:min(4, len(rec.Header.Get("Content-Type")))],
				rec.Header.Get("Cache-Control"), rec.Header.Get("Last-Modified"), rec.Header.Get("ETag"), boundary.ReplaceAllString(rec.Text(), "BOUNDARY")))
		}
		return all
	}
	first := ask()
	ask()
	if err := os.Rename(root, root+".moved"); err != nil { // nothing is looked for any more but what was missing
		t.Fatal(err)
	}
	for i, got := range ask() {
		if got != first[i] {
			t.Errorf("got  %s\nwant %s", got, first[i])
		}
	}
}

// While a file is replaced again and again, each response is of one version.
func TestAnswersAreOfOneVersionWhileFilesChange(t *testing.T) {
	content := func(version int) string {
		n := 1000 + version%97
		if version%2 == 1 {
			n += 80_000 // neither in memory nor copied
		}
		return strings.Repeat(string(rune('a'+version%26)), n)
	}
	root := folder(t, map[string]string{"0": content(0), "1": content(1), "2": content(2), "3": content(3)})
	s := start(t, root, "server { listen 80; root ROOT; open_file_cache max=3; open_file_cache_valid 1ms; open_file_cache_memory 4k; }")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				target := fmt.Sprintf("/%d", rand.IntN(4))
				r := s.Get(target)
				body := r.Text()
				if r.Status != 200 || r.Length != int64(len(body)) || !strings.HasSuffix(r.Header.Get("ETag"), fmt.Sprintf(`-%x"`, len(body))) || strings.Trim(body, body[:1]) != "" {
					t.Errorf("%s: got %d, %d bytes of %d, %+v", target, r.Status, len(body), r.Length, r.Header)
				}
			}
		})
	}
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		for version := 0; ; version++ {
			select {
			case <-stop:
				return
			default:
				replace(t, filepath.Join(root, fmt.Sprint(version%4)), content(version), changed.Add(time.Duration(version)*time.Second))
			}
		}
	}()
	wg.Wait()
	close(stop)
	<-writer
}
