package keeper

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// threaded has 41 threads and says so. Then eight of them begin to make others, which
// make others, so that some come from threads that do not have the new value yet.
const threaded = `
import sys, threading
said = threading.Event()
def make(left):
    said.wait()
    if left:
        threading.Thread(target=make, args=(left - 1,), daemon=True).start()
    threading.Event().wait()
for i in range(40):
    threading.Thread(target=make, args=(12 if i < 8 else 0,), daemon=True).start()
sys.stdout.write("made\n"); sys.stdout.flush()
said.set()
sys.stdin.read()
`

const threadedInTheEnd = 1 + 40 + 8*12

func TestReniceReachesEveryThread(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/usr/bin/python3", "-c", threaded)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the program says %q, %v", line, err)
	}
	pid := cmd.Process.Pid
	own, err := niceOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ nice, want int }{{7, 7}, {-9, -9}, {20, highestNice}, {-20, -20}, {own, own}} {
		if err := renice(pid, c.nice); err != nil {
			t.Fatal(err)
		}
		for id, got := range nices(t, pid) {
			if got != c.want {
				t.Errorf("after renice to %d thread %d has %d, want %d", c.nice, id, got, c.want)
			}
		}
	}
	for deadline := time.Now().Add(patience); len(nices(t, pid)) < threadedInTheEnd; time.Sleep(time.Millisecond) { // all have come
		if time.Now().After(deadline) {
			t.Fatalf("there are %d threads, want %d", len(nices(t, pid)), threadedInTheEnd)
		}
	}
	for id, got := range nices(t, pid) {
		if got != own {
			t.Errorf("thread %d, which may have come later, has %d, want %d", id, got, own)
		}
	}
}

// nices returns the nice values of a process's threads, as /proc shows them.
func nices(t *testing.T, pid int) map[int]int {
	t.Helper()
	all := map[int]int{}
	threads, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + thread.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		id, _ := strconv.Atoi(thread.Name())
		if all[id], err = strconv.Atoi(strings.Fields(rest)[16]); err != nil {
			t.Fatalf("the nice value of %q: %v", stat, err)
		}
	}
	return all
}

// A front may end right after its start.
func TestReniceOfAProcessThatHasEnded(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if err := renice(cmd.Process.Pid, 5); err != nil {
		t.Errorf("ended: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := renice(1<<30, 5); err != nil { // above the highest pid
		t.Errorf("no process: %v", err)
	}
}

// Without CAP_SYS_NICE the system refuses, and the error says what is missing. The
// capability is taken from one thread, which ends with the goroutine.
func TestReniceSaysWhatItTakes(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	refused := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := dropNice(); err != nil {
			refused <- err
			return
		}
		refused <- renice(cmd.Process.Pid, -5)
	}()
	err := <-refused
	if !errors.Is(err, unix.EACCES) || !strings.HasPrefix(err.Error(), "setpriority(-5) failed: ") || !strings.HasSuffix(err.Error(), ": it takes root with the capability CAP_SYS_NICE") {
		t.Errorf("got %v, want setpriority(-5) failed with EACCES, and CAP_SYS_NICE named", err)
	}
}

// A higher nice value takes no capability, also for a process of another user. A lower one does.
func TestReniceAsTheUserOfTheProcess(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("got a test that root does not run, want root")
	}
	const uid = 65534
	cmd := exec.Command("/bin/sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	pid := cmd.Process.Pid
	own, err := niceOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := reniceAs(uid, pid, own+3); err != nil {
		t.Errorf("got %v for a higher value, want none", err)
	}
	err = reniceAs(uid, pid, own+1)
	if !errors.Is(err, unix.EACCES) || !strings.HasSuffix(err.Error(), ": it takes root with the capability CAP_SYS_NICE") {
		t.Errorf("got %v for a lower value, want EACCES, and CAP_SYS_NICE named", err)
	}
	if got, err := niceOf(pid); got != own+3 {
		t.Errorf("got the value %d, %v; want %d", got, err, own+3)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if got := unix.Geteuid(); got != 0 {
		t.Errorf("afterwards the user is %d, want root", got)
	}
}

// dropNice takes CAP_SYS_NICE from the calling thread.
func dropNice() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_SYS_NICE
	return unix.Capset(&head, &data[0])
}
