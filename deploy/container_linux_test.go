package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// container is a process that runs as an engine would run it: first of its
// process namespace, in a root of its own, with a network of its own. It does
// what containers need, by the kernel's own means.
type container struct {
	Root     string
	Binds    map[string]string // folders of this system, by the places where they appear, read-only
	Volumes  map[string]string // the same, writable
	Writable bool              // the root, as without --read-only
	Temp     bool              // --tmpfs /tmp
	UID, GID int
	Dir      string
	Env      []string
	Args     []string

	t      *testing.T
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error // once it has ended
	stdout output
	stderr output
}

// containerEnv makes the test binary set up the container that it describes.
const containerEnv = "ALICORN_TEST_CONTAINER"

func TestMain(m *testing.M) {
	spec := os.Getenv(containerEnv)
	if spec == "" {
		os.Exit(m.Run())
	}
	var c container
	err := json.Unmarshal([]byte(spec), &c)
	if err == nil {
		err = c.become()
	}
	fmt.Fprintln(os.Stderr, "cannot become a container:", err)
	os.Exit(125) // as docker run
}

// start runs the container.
func (c *container) start(t *testing.T) *container {
	t.Helper()
	c.t = t
	spec, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	c.cmd = exec.Command("/proc/self/exe")
	c.cmd.Env = []string{containerEnv + "=" + string(spec)}
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.ended = make(chan struct{})
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		c.cmd.Process.Kill() // it may have ended
		<-c.ended
		if t.Failed() {
			t.Logf("standard output:\n%s\nstandard error:\n%s", &c.stdout, &c.stderr)
		}
	})
	return c
}

// become sets the container up around this process and turns into its program.
func (c *container) become() error {
	runtime.LockOSThread()
	for _, step := range []func() error{c.mounts, c.devices, c.network, c.enter} {
		if err := step(); err != nil {
			return err
		}
	}
	return c.exec()
}

// exec turns this process into the program, which PATH may name.
func (c *container) exec() error {
	program := c.Args[0]
	for _, v := range c.Env {
		dirs, ok := strings.CutPrefix(v, "PATH=")
		if !ok || strings.Contains(program, "/") {
			continue
		}
		for _, dir := range filepath.SplitList(dirs) {
			if unix.Access(filepath.Join(dir, program), unix.X_OK) == nil {
				program = filepath.Join(dir, program)
				break
			}
		}
	}
	if err := unix.Exec(program, c.Args, c.Env); err != nil {
		return fmt.Errorf("cannot execute %s: %w", program, err)
	}
	return nil
}

// mount does one mount below the root, whose place is made.
func (c *container) mount(source, place, kind string, flags uintptr) error {
	target := filepath.Join(c.Root, place)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, kind, flags, ""); err != nil {
		return fmt.Errorf("cannot mount %s on %s: %w", source, target, err)
	}
	return nil
}

func (c *container) mounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	err := c.mount(c.Root, "/", "", unix.MS_BIND)
	for place, source := range c.Binds {
		err = errors.Join(err, c.mount(source, place, "", unix.MS_BIND), c.mount("", place, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY))
	}
	for place, source := range c.Volumes {
		err = errors.Join(err, c.mount(source, place, "", unix.MS_BIND))
	}
	err = errors.Join(err, c.mount("proc", "/proc", "proc", 0), c.mount("dev", "/dev", "tmpfs", 0))
	if c.Temp {
		err = errors.Join(err, c.mount("tmp", "/tmp", "tmpfs", 0), os.Chmod(filepath.Join(c.Root, "tmp"), 0o1777))
	}
	return err
}

func (c *container) devices() error {
	var errs []error
	dev := filepath.Join(c.Root, "dev")
	for _, name := range []string{"null", "zero", "urandom"} {
		place := filepath.Join(dev, name)
		errs = append(errs, os.WriteFile(place, nil, 0o666), unix.Mount("/dev/"+name, place, "", unix.MS_BIND, ""))
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		errs = append(errs, os.Symlink(target, filepath.Join(dev, name)))
	}
	return errors.Join(errs...)
}

// network brings the loopback up, and allows every port to everyone, as
// engines do.
func (c *container) network() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("cannot bring the loopback up: %w", err)
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)
}

// enter goes into the root and gives every privilege up.
func (c *container) enter() error {
	if !c.Writable {
		if err := unix.Mount("", c.Root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("cannot make the root read-only: %w", err)
		}
	}
	return errors.Join(unix.Chroot(c.Root), unix.Chdir(c.Dir), syscall.Setgroups(nil), syscall.Setgid(c.GID), syscall.Setuid(c.UID),
		unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// dial connects to an address inside the container.
func (c *container) dial(address string) (net.Conn, error) {
	return dialBeside(itoa(c.cmd.Process.Pid), address)
}

// dialBeside connects to an address in the network of another process.
func dialBeside(pid, address string) (nc net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		ours, e := os.Open("/proc/thread-self/ns/net")
		if e != nil {
			err = e
			return
		}
		defer ours.Close()
		theirs, e := os.Open("/proc/" + pid + "/ns/net")
		if e != nil {
			err = e
			return
		}
		defer theirs.Close()
		if err = unix.Setns(int(theirs.Fd()), unix.CLONE_NEWNET); err == nil {
			nc, err = net.Dial("tcp4", address)
		}
		if unix.Setns(int(ours.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // else the thread ends with this goroutine
		}
	}()
	<-done
	return nc, err
}

// stop does what docker stop does, and says how long that took; after the
// grace period the container is killed.
func (c *container) stop() time.Duration {
	c.t.Helper()
	const grace = 10 * time.Second
	killed := time.AfterFunc(grace, func() { c.cmd.Process.Kill() })
	begun := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	<-c.ended
	took := time.Since(begun)
	if !killed.Stop() {
		c.t.Errorf("the container was killed after %s, want it stopped by then", took)
	} else if c.err != nil {
		c.t.Errorf("the end of the container: %v", c.err)
	}
	return took
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (c *container) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

func await(t *testing.T, failure string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(failure)
		}
	}
}
