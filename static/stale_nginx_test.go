package static_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A cache uses its entries as long as nginx does. Files that are changed in place are left
// out: nginx mixes two versions of them.
func TestChangesAreSeenWhenNginxSeesThem(t *testing.T) {
	const server = `
		root ROOT; absolute_redirect off;
		location /errors/ { alias ROOT/; open_file_cache_errors on; }
		location /twice/ { alias ROOT/; open_file_cache max=10; open_file_cache_min_uses 2; }
		location /now/ { alias ROOT/; open_file_cache_valid 0; }
		location /try/ { alias ROOT/; try_files $uri /now/b.txt; }
		location /tryerrors/ { alias ROOT/; open_file_cache_errors on; try_files $uri /now/b.txt; }
		location /off/ { alias ROOT/; open_file_cache off; }
		location /own/ { alias ROOT/; open_file_cache max=1; }`
	big := strings.Repeat("b", 200_000)
	for name, steps := range map[string]string{
		"replaced":           "GET /a.txt; GET /a.txt; put a.txt two; GET /a.txt; GET /off/a.txt; GET /own/a.txt; HEAD /a.txt; GET /now/a.txt; GET /a.txt; GET /a.txt",
		"replaced large":     "GET /a.txt; put a.txt BIG; GET /a.txt; GET /now/a.txt; GET /a.txt; put a.txt BIGGER; GET /a.txt; GET /now/a.txt",
		"conditionally":      "GET /a.txt; put a.txt two; GET /a.txt|If-Modified-Since: " + changedText + "; GET /a.txt|Range: bytes=1-; GET /now/a.txt|Range: bytes=1-; GET /a.txt|Range: bytes=0-0",
		"removed":            "GET /a.txt; rm a.txt; GET /a.txt; GET /a.txt; GET /errors/a.txt; GET /now/a.txt; GET /a.txt; put a.txt two; GET /a.txt",
		"errors":             "GET /errors/new; GET /errors/new; put new content; GET /errors/new; GET /new; GET /off/new; GET /now/new; GET /errors/new; rm new; GET /errors/new",
		"no errors":          "GET /new; put new content; GET /new; rm new; GET /new",
		"error after a file": "GET /errors/a.txt; rm a.txt; GET /now/a.txt; GET /errors/a.txt; put a.txt two; GET /errors/a.txt; GET /now/a.txt",
		"twice":              "GET /twice/a.txt; put a.txt two; GET /twice/a.txt; put a.txt three; GET /twice/a.txt; GET /twice/a.txt; rm a.txt; GET /twice/a.txt",
		"twice removed":      "GET /twice/a.txt; rm a.txt; GET /twice/a.txt; put a.txt two; GET /twice/a.txt; put a.txt three; GET /twice/a.txt; put a.txt four; GET /twice/a.txt",
		"twice, folders":     "GET /twice/d; GET /twice/d/; rm d/index.html; GET /twice/d/; GET /twice/d",
		"file to folder":     "GET /a.txt; rm a.txt; mkdir a.txt; GET /a.txt; GET /now/a.txt; GET /a.txt; rm a.txt; put a.txt two; GET /a.txt; GET /now/a.txt; GET /a.txt",
		"folders":            "GET /d; GET /d/; put d/index.html other; GET /d/; GET /now/d/; GET /d/; rm d/index.html; GET /d/; GET /now/d/; GET /d/; put d/index.html back; GET /d/",
		"folder gone":        "GET /d/; GET /d; rm d/index.html; rm d; GET /d; GET /d/; GET /now/d; GET /d; GET /d/",
		"try":                "GET /try/a.txt; GET /try/new; put new content; GET /try/new; rm a.txt; GET /try/a.txt; GET /try/a.txt; put a.txt two; GET /try/a.txt",
		"try errors":         "GET /tryerrors/new; put new content; GET /tryerrors/new; GET /try/new; GET /now/new; GET /tryerrors/new",
		"evicted":            "GET /own/a.txt; put a.txt two; GET /own/a.txt; GET /own/b.txt; GET /own/a.txt; put b.txt other; GET /own/b.txt",
		"link":               "GET /link.txt; put a.txt two; GET /link.txt; GET /a.txt; GET /now/link.txt; GET /link.txt; rm a.txt; GET /link.txt; GET /now/link.txt",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			www := folder(t, map[string]string{"a.txt": "one", "b.txt": "other", "d/index.html": "index"})
			if err := os.Symlink("a.txt", filepath.Join(www, "link.txt")); err != nil {
				t.Fatal(err)
			}
			ours, nginx := bothServe(t, www, "open_file_cache max=100;"+server)
			at := changed
			for i, step := range strings.Split(steps, "; ") {
				word, rest, _ := strings.Cut(step, " ")
				file, content, _ := strings.Cut(rest, " ")
				var err error
				switch word {
				case "put":
					at = at.Add(time.Hour)
					replace(t, filepath.Join(www, file), strings.NewReplacer("BIGGER", big+"r", "BIG", big).Replace(content), at)
				case "rm":
					err = os.Remove(filepath.Join(www, file))
				case "mkdir":
					err = os.Mkdir(filepath.Join(www, file), 0o755)
				default:
					if want, got := ask(t, nginx(), step), ask(t, ours(), step); got != want {
						t.Errorf("step %d, %s\n ours  %.300s\n nginx %.300s", i, step, got, want)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
