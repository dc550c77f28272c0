package deploy_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"alicorn/proxy/proxytest"
)

// inNamespaces runs the calling test once more, in a process with namespaces and
// the variable of its own, and returns what that prints. A failure there is one here.
func inNamespaces(t *testing.T, flags uintptr, variable string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), variable)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	return string(out)
}

// machine is a fresh Debian server: this system's packages with nothing
// configured, booted by systemd, on a network of its own.
type machine struct {
	t     *testing.T
	pid   string // of systemd, as seen from here
	ended chan struct{}
}

// bootMachine boots a machine that ends with the test. The caller's mounts
// must be private.
func bootMachine(t *testing.T) *machine {
	t.Helper()
	folder := proxytest.PublicDir(t)
	group := controlGroup(t)
	cmd := exec.Command("/bin/sh", "testdata/boot.sh", folder)
	var stderr output
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
		UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start a machine: %v", err)
	}
	m := &machine{t: t, pid: itoa(cmd.Process.Pid), ended: make(chan struct{})}
	go func() { cmd.Wait(); close(m.ended) }()
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := m.try("journalctl --no-pager --lines 200; cat /var/log/alicorn/error.log")
			t.Logf("the machine's log:\n%s%s", log, &stderr)
		}
		cmd.Process.Kill()
		<-m.ended
	})
	await(t, "the machine does not boot", func() bool {
		_, err := m.try("systemctl is-active basic.target")
		return err == nil || m.hasEnded()
	})
	return m
}

func (m *machine) hasEnded() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// controlGroup makes a control group, which the machine's systemd divides.
func controlGroup(t *testing.T) *os.File {
	t.Helper()
	tree := t.TempDir()
	if err := unix.Mount("cgroup2", tree, "cgroup2", 0, ""); err != nil {
		t.Fatalf("cannot mount control groups: %v", err)
	}
	dir, err := os.MkdirTemp(tree, "alicorn-test-")
	if err != nil {
		t.Fatal(err)
	}
	group, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		group.Close()
		await(t, "the machine's control groups do not go", func() bool { return removeGroups(dir) == nil })
		unix.Unmount(tree, unix.MNT_DETACH)
	})
	return group
}

// removeGroups removes control groups, which can be done only from the inside
// out, and when no process is left in them.
func removeGroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := removeGroups(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return unix.Rmdir(dir)
}

// connect leads a cable from here to the machine.
func (m *machine) connect() {
	m.t.Helper()
	const script = `
ip link set lo up
ip link add name internet type veth peer name eth0 netns "$1"
ip address add 203.0.113.1/24 dev internet
ip address add 2001:db8::1/64 dev internet nodad
ip link set internet up
nsenter -t "$1" -n ip link set lo up
nsenter -t "$1" -n ip address add 203.0.113.5/24 dev eth0
nsenter -t "$1" -n ip address add 2001:db8::5/64 dev eth0 nodad
nsenter -t "$1" -n ip link set eth0 up
`
	if out, err := exec.Command("/bin/sh", "-ec", script, "sh", m.pid).CombinedOutput(); err != nil {
		m.t.Fatalf("cannot connect the machine: %v: %s", err, out)
	}
}

// try runs a shell script on the machine, as root in root's home, and gives
// everything it prints.
func (m *machine) try(script string) (string, error) {
	cmd := exec.Command("nsenter", "-t", m.pid, "-m", "-u", "-i", "-n", "-p", "-C", "/bin/sh", "-ec", "cd /root\n"+script)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run is try for what must succeed.
func (m *machine) run(script string) string {
	m.t.Helper()
	out, err := m.try(script)
	if err != nil {
		m.t.Fatalf("%v:\n%s", err, out)
	}
	return out
}

// path is where a file of the machine is, seen from here.
func (m *machine) path(file string) string { return "/proc/" + m.pid + "/root" + file }

// write writes a file of the machine.
func (m *machine) write(file, text string, mode fs.FileMode) {
	m.t.Helper()
	write(m.t, m.path(file), text, mode)
}

// copy copies a file of this system to the machine.
func (m *machine) copy(from, to string) {
	m.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(to, string(text), 0o644)
}

// add appends to a file of the machine.
func (m *machine) add(file, text string) {
	m.t.Helper()
	old, err := os.ReadFile(m.path(file))
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(file, strings.TrimRight(string(old), "\n")+"\n"+text, 0o644)
}
