package static_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy"
)

// planted makes a site's folder with links to files that only the server may read. It returns
// that folder and the hidden one.
func planted(t *testing.T) (www, keys string) {
	t.Helper()
	www = folder(t, map[string]string{"a.txt": "a", "own.txt": "own"})
	keys = filepath.Join(filepath.Dir(www), "keys")
	private := filepath.Join(keys, "deep", "private.key")
	gone := filepath.Join(filepath.Dir(www), "gone")
	for path, mode := range map[string]os.FileMode{private: 0o600, gone: 0o600} {
		check(t, os.MkdirAll(filepath.Dir(path), 0o700))
		check(t, os.WriteFile(path, []byte("private"), mode))
	}
	check(t, os.Chmod(filepath.Join(www, "own.txt"), 0o600))
	temporary, err := os.Open(gone)
	check(t, err)
	t.Cleanup(func() { temporary.Close() })
	check(t, os.Remove(gone))
	memory, err := unix.MemfdCreate("body", unix.MFD_CLOEXEC)
	check(t, err)
	t.Cleanup(func() { unix.Close(memory) })
	_, err = unix.Write(memory, []byte("private"))
	check(t, err)
	for name, to := range map[string]string{
		"key": private, "keys": keys, "temporary": descriptorPath(int(temporary.Fd())), "memory": descriptorPath(memory),
	} {
		check(t, os.Symlink(to, filepath.Join(www, name)))
	}
	return www, keys
}

func descriptorPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A user who may write to a site's folder cannot read files that only the server may read.
func TestALinkToAFileOfTheServersOwnIsRefused(t *testing.T) {
	for _, cache := range []string{"", "open_file_cache max=100; open_file_cache_errors on;"} {
		www, keys := planted(t)
		link := filepath.Join(filepath.Dir(www), "linked")
		check(t, os.Symlink(keys, link))
		hides := proxy.Module{Name: "hides", Generation: func(s *config.Scope, _ *proxy.Generation) error {
			s.Load().Hides(link)
			return nil
		}}
		s := startWith(t, www, "server { root ROOT; autoindex on; "+cache+" }", hides)
		for target, status := range map[string]int{
			"/a.txt": 200, "/own.txt": 200, "/key": 403, "/keys/deep/private.key": 403, "/keys/": 403, "/temporary": 404, "/memory": 404,
		} {
			for range 2 {
				got := s.Raw(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target))
				if want := fmt.Sprintf("HTTP/1.1 %d ", status); len(got) < len(want) || got[:len(want)] != want {
					t.Errorf("with cache %q: %s: %q; want %d", cache, target, got, status)
				}
			}
		}
	}
}
