package static_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// linkedFolder is a folder with links, two of which root made to another
// user's things.
func linkedFolder(t *testing.T) string {
	t.Helper()
	www := folder(t, map[string]string{"a.txt": "a", "sub/b.txt": "b", "sub/index.html": "index", "strange/c.txt": "c", "strange.txt": "s", "d/": ""})
	for name, to := range map[string]string{"la.txt": "a.txt", "lsub": "sub", "sub/lb.txt": "b.txt", "sub/up": "../d", "lstrange": "strange", "lstrange.txt": "strange.txt", "nowhere": "nothing", "loop": "loop", "www": "."} {
		if err := os.Symlink(to, filepath.Join(www, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("www", filepath.Join(filepath.Dir(www), "other")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"strange", "strange.txt"} {
		if os.Geteuid() != 0 {
			break
		}
		if err := os.Chown(filepath.Join(www, name), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"d", "sub", "strange", "."} {
		if err := os.Chtimes(filepath.Join(www, name), changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	return www
}

const linkServer = `
	root ROOT; absolute_redirect off;
	location /on/ { alias ROOT/; disable_symlinks on; }
	location /owner/ { alias ROOT/; disable_symlinks if_not_owner; }
	location /off/ { alias ROOT/; disable_symlinks off; }
	location /from/ { alias ROOT/../other/; disable_symlinks on from=ROOT/../other; }
	location /fromslash/ { alias ROOT/../other/; disable_symlinks on from=ROOT/../other/; }
	location /fromroot/ { alias ROOT/../other/; disable_symlinks if_not_owner from=$document_root; }
	location /nofrom/ { alias ROOT/../other/; disable_symlinks on; }
	location /frompart/ { alias ROOT/; disable_symlinks on from=ROOT/ls; }
	location /fromfile/ { alias ROOT/; disable_symlinks on from=ROOT/la.txt; }
	location /fromelse/ { alias ROOT/; disable_symlinks on from=/nowhere; }
	location /fromarg/ { alias ROOT/; disable_symlinks on from=$arg_from; }
	location /double/ { alias ROOT//; disable_symlinks on; }
	location /try/ { root ROOT; disable_symlinks on; try_files /la.txt /lsub/b.txt /lsub/ /sub/b.txt =404; }
	location /trydir/ { root ROOT; disable_symlinks on; try_files /lsub/ /d/ =410; }
	location /gz/ { alias ROOT/; disable_symlinks on; gzip_static on; }
`

func TestLinksAreRefusedAsNginxDoes(t *testing.T) {
	var targets []string
	for _, at := range []string{"on", "owner", "off", "from", "fromslash", "fromroot", "nofrom", "frompart", "fromfile", "fromelse", "fromarg", "double", "gz"} {
		for _, name := range []string{"a.txt", "la.txt", "lsub/b.txt", "lsub/", "lsub", "lsub/index.html", "sub/lb.txt", "sub/", "sub", "sub/up", "sub/up/", "lstrange/c.txt", "lstrange.txt", "strange/c.txt", "nowhere", "loop", "nothing", "www/a.txt", "www/www/la.txt", "a.txt/", "a.txt/x", "d/"} {
			targets = append(targets, "/"+at+"/"+name)
		}
	}
	targets = append(targets, "/try/x", "/trydir/x", "/fromarg/la.txt?from=ROOT", "/fromarg/lsub/b.txt?from=ROOT/lsub", "/fromarg/sub/lb.txt?from=ROOT/lsub")
	for name, c := range map[string]struct {
		text  string
		times int
	}{
		"without cache": {"", 1},
		"with cache":    {"open_file_cache max=1000; open_file_cache_errors on;", 2},
		"rechecked":     {"open_file_cache max=1000; open_file_cache_valid 0;", 2},
	} {
		t.Run(name, func(t *testing.T) {
			www := linkedFolder(t)
			ours, nginx := bothServe(t, www, c.text+linkServer)
			for range c.times {
				for _, target := range targets {
					r := "GET " + strings.ReplaceAll(target, "ROOT", www)
					if want, got := ask(t, nginx(), r), ask(t, ours(), r); got != want {
						t.Errorf("%s\n ours  %s\n nginx %s", r, got, want)
					}
				}
			}
		})
	}
}

// One cache serves blocks with different rules.
func TestACacheDoesNotLeadAroundTheRule(t *testing.T) {
	www := linkedFolder(t)
	s := start(t, www, "server { listen 80; open_file_cache max=100; root ROOT; location /on/ { alias ROOT/; disable_symlinks on; } }")
	for range 3 {
		for target, want := range map[string]int{"/la.txt": 200, "/on/la.txt": 403, "/on/a.txt": 200} {
			if r := s.Get(target); r.Status != want {
				t.Errorf("%s: got %d; want %d", target, r.Status, want)
			}
		}
	}
}

func TestAFileThatBecomesALinkIsRefusedOnceRechecked(t *testing.T) {
	www := linkedFolder(t)
	s := start(t, www, "server { listen 80; open_file_cache max=100; open_file_cache_valid 0; root ROOT; disable_symlinks on; }")
	name := filepath.Join(www, "a.txt")
	for range 3 {
		if r := s.Get("/a.txt"); r.Status != 200 {
			t.Fatalf("got %d, want 200", r.Status)
		}
	}
	if err := os.Rename(name, name+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.txt.moved", name); err != nil { // the same file by another way
		t.Fatal(err)
	}
	s.Log.Reset()
	if r := s.Get("/a.txt"); r.Status != 403 {
		t.Errorf("got %d, want 403", r.Status)
	}
	if want := fmt.Sprintf(`openat() "%s" failed (40: `, name); !strings.Contains(s.Log.String(), want) {
		t.Errorf("log %q, want %q", s.Log, want)
	}
}
