package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"alicorn/cmd/alicorn/control"
)

// Each reload replaces the workers of one application and keeps those of the
// others, which are of earlier generations: none of these stays in memory.
func TestReloadsLeaveNoGenerationBehind(t *testing.T) {
	t.Parallel()
	f, file := appSite(t, "workers 1;", echo("first"))
	files := []string{file}
	for i := range 5 {
		other := filepath.Join(t.TempDir(), "app.py")
		files = append(files, other)
		writeFile(t, other, echo("other"))
		f.mu.Lock()
		block := f.text[strings.Index(f.text, "app web"):strings.Index(f.text, "server {")]
		f.text = strings.NewReplacer("app web", fmt.Sprintf("app other%d", i), filepath.Dir(file), filepath.Dir(other)).Replace(block) + f.text + fmt.Sprintf(" server { listen 127.0.0.1:0; server_name s%d; location / { app_pass other%d; } }", i, i)
		f.mu.Unlock()
	}
	s, _ := serving(t, f)
	var alive atomic.Int64
	watch := func() {
		alive.Add(1)
		runtime.AddCleanup(s.loaded().generation.Servers[0], func(int) { alive.Add(-1) }, 0)
	}
	watch()
	const reloads = 12
	for i := range reloads {
		writeFile(t, files[i%len(files)], echo(strings.Repeat("x", i+2)))
		if _, err := s.Reload(t.Context(), control.Reload{}); err != nil {
			t.Fatal(err)
		}
		watch()
	}
	for end := time.Now().Add(patience); alive.Load() > 2 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		runtime.GC()
	}
	if n := alive.Load(); n > 2 {
		t.Errorf("%d generations of %d are still in memory; want at most 2", n, reloads+1)
	}
}
