package static_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what this process has used, in all threads: unlike the
// time on the wall it says the same on a busy machine.
func processorTime(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkFile is a request's way through the handler, without a wire.
func BenchmarkFile(b *testing.B) {
	for _, c := range []struct{ name, text, target string }{
		{"memory", "open_file_cache max=10;", "/a.css"},
		{"memory, expires", "open_file_cache max=10; expires 1h;", "/a.css"},
		{"memory, index", "open_file_cache max=10;", "/d/"},
		{"memory, try_files", "open_file_cache max=10;", "/try/a.css"},
		{"descriptor, read", "open_file_cache max=10; open_file_cache_memory off;", "/a.css"},
		{"uncached, read", "", "/a.css"},
		{"descriptor, sent", "open_file_cache max=10;", "/big"},
		{"uncached, sent", "", "/big"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := start(b, folder(b, map[string]string{"a.css": strings.Repeat("a", 1000), "big": strings.Repeat("b", 100_000), "d/index.html": "index"}), c.text+"server { listen 80; root ROOT; location /try/ { alias ROOT/; try_files $uri =404; } }")
			b.ReportAllocs()
			before := processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				ask := asker(b, s)
				for pb.Next() {
					ask(c.target, "", "")
				}
			})
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkManyFiles asks for more files than the cache keeps, in turn.
func BenchmarkManyFiles(b *testing.B) {
	const files = 1000
	content := map[string]string{}
	targets := make([]string, files)
	for i := range targets {
		targets[i] = fmt.Sprint("/", i)
		content[targets[i]] = strings.Repeat("x", 1000)
	}
	root := folder(b, content)
	for _, kept := range []int{0, 100, 900, 1000} {
		b.Run(fmt.Sprint(kept, " kept"), func(b *testing.B) {
			text := "server { listen 80; root ROOT; }"
			if kept > 0 {
				text = fmt.Sprintf("open_file_cache max=%d;", kept) + text
			}
			s := start(b, root, text)
			b.ReportAllocs()
			before := processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				ask := asker(b, s)
				for i := rand.IntN(files); pb.Next(); i = (i + 1) % files {
					ask(targets[i], "", "")
				}
			})
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
