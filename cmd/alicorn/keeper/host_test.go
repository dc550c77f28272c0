package keeper

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

func TestListenBindsAsNginxDoes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		network, address string
		o                config.ListenOptions
	}{
		{"tcp4", "127.0.0.1:0", config.ListenOptions{}},
		{"tcp6", "[::1]:0", config.ListenOptions{V6Only: true}},
		{"tcp4", "127.0.0.1:0", config.ListenOptions{ReusePort: true, Backlog: 7}},
	} {
		f, err := new(Local).Listen(tc.network, tc.address, tc.o)
		if err != nil {
			t.Errorf("%s: %v", tc.address, err)
			continue
		}
		defer f.Close()
		for option, want := range map[int]bool{unix.SO_REUSEADDR: true, unix.SO_REUSEPORT: tc.o.ReusePort, unix.SO_ACCEPTCONN: true} {
			if got, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, option); err != nil || got != 0 != want {
				t.Errorf("%s: socket option %d is %d, %v; want %v", tc.address, option, got, err, want)
			}
		}
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Errorf("%s: %v", tc.address, err)
			continue
		}
		nc.Close()
	}
}

func TestListenSaysInOneSentenceWhyItCannot(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	live, err := net.Listen("unix", filepath.Join(dir, "live.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	self := fmt.Sprintf("the port is in use by %s (pid %d)", comm(t), os.Getpid())
	for _, tc := range []struct{ network, address, want string }{
		{"tcp4", taken.Addr().String(), self},
		{"tcp4", "192.0.2.1:8000", "this machine has no such address"},
		{"unix", filepath.Join(dir, "live.sock"), "another server accepts connections there"},
		{"unix", filepath.Join(dir, "file"), "a file of that name is there, and it is not a socket"},
		{"unix", filepath.Join(dir, "missing/a.sock"), "the directory " + filepath.Join(dir, "missing") + " does not exist"},
		{"unix", "/" + strings.Repeat("x", 120), "the path is 121 bytes long and the system allows 107"},
	} {
		f, err := new(Local).Listen(tc.network, tc.address, config.ListenOptions{})
		if err == nil {
			f.Close()
			t.Errorf("%s was bound", tc.address)
			continue
		}
		if text := err.Error(); !strings.Contains(text, tc.want) || !strings.Contains(text, tc.address) || strings.Contains(text, "\n") {
			t.Errorf("%s: %q, want %q", tc.address, text, tc.want)
		}
	}
}

func TestPortsBelow1024AreExplained(t *testing.T) {
	t.Parallel()
	text := new(Local).explainTCP("0.0.0.0:80", 80, unix.EACCES).Error()
	for _, want := range []string{"setcap cap_net_bind_service=+ep ", "AmbientCapabilities=CAP_NET_BIND_SERVICE"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
}

func comm(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.sock")
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close()
	f, err := new(Local).Listen("unix", path, config.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, %v; want 0666", st.Mode(), err)
	}
}

func TestAppendMakesTheDirectoryAndGivesTheLogToItsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	path := filepath.Join(t.TempDir(), "new/folder/error.log")
	h := &Local{Owner: Identity{Name: "daemon", UID: 1, GID: 1}}
	for _, want := range []string{"one\n", "one\ntwo\n"} {
		f, err := h.Append(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, want[len(want)-4:])
		f.Close()
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%q, %v; want %q", text, err, want)
		}
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := st.Sys().(*syscall.Stat_t).Uid; owner != 1 {
		t.Errorf("the log belongs to %d, want 1", owner)
	}
}

func TestAppendFollowsOnlyLinksOfRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	for _, tc := range []struct {
		name  string
		owner int
		ok    bool
	}{{"root's", 0, true}, {"another user's", 1, false}} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			target, link := filepath.Join(dir, "target"), filepath.Join(dir, "error.log")
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			if err := os.Lchown(link, tc.owner, tc.owner); err != nil {
				t.Fatal(err)
			}
			f, err := new(Local).Append(link)
			if (err == nil) != tc.ok {
				t.Errorf("error %v, want success: %v", err, tc.ok)
			}
			if f != nil {
				f.Close()
			}
			if _, err := os.Stat(target); (err == nil) != tc.ok {
				t.Errorf("the target: %v; want success: %v", err, tc.ok)
			}
		})
	}
}

// foreignFolder returns a folder of user 1 below one that only root changes,
// and a folder of root's beside it that holds "kept".
func foreignFolder(t *testing.T) (foreign, target string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	foreign, target = filepath.Join(dir, "home"), filepath.Join(dir, "target")
	for _, d := range []string{foreign, target} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(target, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(foreign, 1, 1); err != nil {
		t.Fatal(err)
	}
	return foreign, target
}

func TestALogInAnotherUsersFolderIsThatUsers(t *testing.T) {
	t.Parallel()
	foreign, target := foreignFolder(t)
	if err := os.Symlink(target, filepath.Join(foreign, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(target, "kept"), filepath.Join(foreign, "planted.log")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(foreign, "pipe.log"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(foreign, "pipe.log"), 1, 1); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(filepath.Join(foreign, "pipe.log"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	h := &Local{Owner: Identity{Name: "bin", UID: 2, GID: 2}}
	for _, c := range []struct{ name, want string }{
		{"error.log", ""}, {"logs/error.log", ""}, {"link/error.log", "permission denied"}, {"link/new/error.log", "permission denied"},
		{"planted.log", "permission denied"}, {"pipe.log", "it is a named pipe"}, {"logs", "is a directory"},
	} {
		name, want := c.name, c.want
		f, err := h.Append(filepath.Join(foreign, name))
		if f != nil {
			f.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v; want %q", name, err, want)
		}
	}
	for _, name := range []string{"error.log", "logs", "logs/error.log"} {
		st, err := os.Stat(filepath.Join(foreign, name))
		if err != nil || st.Sys().(*syscall.Stat_t).Uid != 1 {
			t.Errorf("%s: %v, %v; want it to be user 1's", name, st, err)
		}
	}
	list, _ := os.ReadDir(target)
	st, err := os.Stat(filepath.Join(target, "kept"))
	if err != nil || len(list) != 1 || st.Size() != 0 || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the folder that the link leads to has %v, %v", list, err)
	}
}

func TestASocketInAnotherUsersFolderIsThatUsers(t *testing.T) {
	t.Parallel()
	foreign, target := foreignFolder(t)
	if err := os.Symlink(target, filepath.Join(foreign, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(target, "kept"), filepath.Join(foreign, "planted.sock")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.sock": "", "link/a.sock": "no permission to write", "planted.sock": "not a socket"} {
		f, err := new(Local).Listen("unix", filepath.Join(foreign, name), config.ListenOptions{})
		if f != nil {
			f.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v; want %q", name, err, want)
		}
	}
	if st, err := os.Stat(filepath.Join(foreign, "a.sock")); err != nil || st.Mode().Perm() != 0o666 || st.Sys().(*syscall.Stat_t).Uid != 1 {
		t.Errorf("the socket: %v, %v; want mode 0666 and user 1", st, err)
	}
	if st, err := os.Stat(filepath.Join(target, "kept")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("what the link leads to: %v, %v; want 0o600", st, err)
	}
}

func TestALogThatNobodyReadsIsNamed(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe.log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := (&Local{Owner: DefaultIdentity()}).Append(pipe)
	if err == nil {
		f.Close()
	}
	if want := "cannot open log " + pipe + ": it is a socket, or a named pipe that no process reads"; err == nil || err.Error() != want {
		t.Errorf("error %v; want %s", err, want)
	}
}
