package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/appserver/pool"
)

// launchText is an app of one thread whose code is DIR/app.py.
const launchText = `
log DIR/made/access.log;
app web { wsgi app:app; directory DIR; python /usr/bin/python3; }
server { listen unix:DIR/web.sock; location / { app_pass web; } }
`

// newLauncher is a fixture whose app is program.
func newLauncher(t *testing.T, program string) *fixture {
	t.Helper()
	f := newFixture(t, launchText)
	if err := os.WriteFile(filepath.Join(f.dir, "app.py"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	return f
}

// orderFiles are what a front makes for a worker of one thread, and the front's
// own end of the channel.
func orderFiles(t *testing.T) (files []*os.File, front int) {
	t.Helper()
	var ends []*os.File
	for range 4 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		ends = append(ends, w)
	}
	front, channel := socketEnds(t, unix.SOCK_SEQPACKET)
	_, bell := socketEnds(t, unix.SOCK_STREAM)
	return []*os.File{ends[0], ends[1], channel, memory(t, 64, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW), ends[2], ends[3], bell}, front
}

func socketEnds(t *testing.T, kind int) (front int, worker *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	worker = os.NewFile(uintptr(pair[1]), "worker's end")
	t.Cleanup(func() { unix.Close(pair[0]); worker.Close() })
	return pair[0], worker
}

func memory(t *testing.T, size int64, seals int) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("memory", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "memory")
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return f
}

// launch starts a worker of the app, as an honest front does.
func (f *fixture) launch(t *testing.T) pool.Process {
	t.Helper()
	files, _ := orderFiles(t)
	p, err := f.client.For("web")(pool.Order{Number: 1, Kind: "wsgi", Files: files, Key: strings.Repeat("a1", 16)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func awaitExit(t *testing.T, p pool.Process) pool.Exit {
	t.Helper()
	select {
	case e := <-p.Exited():
		return e
	case <-time.After(patience):
		t.Fatal("the exit was not told")
		return pool.Exit{}
	}
}

func TestWorkersAreLaunchedAndReaped(t *testing.T) {
	t.Parallel()
	f := newLauncher(t, "import os; os._exit(7)")
	if e := awaitExit(t, f.launch(t)); e.Code != 7 {
		t.Errorf("exit %v, want code 7", e)
	}
}

const sleeper = "import time; time.sleep(60)"

func TestWorkersAreSignalled(t *testing.T) {
	t.Parallel()
	f := newLauncher(t, sleeper)
	p := f.launch(t)
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e := awaitExit(t, p); e.Signal != syscall.SIGTERM {
		t.Errorf("exit %v, want SIGTERM", e)
	}
	if err := syscall.Kill(p.Pid(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d was not reaped: %v; want %v", p.Pid(), err, syscall.ESRCH)
	}
}

func TestTheFrontSignalsNobodyElse(t *testing.T) {
	t.Parallel()
	f := newLauncher(t, sleeper)
	other := f.launch(t)
	victim, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { victim.Kill(); victim.Wait() }()
	stranger := &remoteProcess{c: f.client, pid: victim.Pid}
	if err := stranger.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Signals are carried out in order: once the second is, the first was.
	other.Signal(syscall.SIGKILL)
	awaitExit(t, other)
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", victim.Pid)); err != nil || strings.Contains(string(text), ") Z ") {
		t.Errorf(`a process that no front was given was killed: %s %v; want no ") Z " in it`, text, err)
	}
}

func TestAStopEndsTheCallsOfAReload(t *testing.T) {
	t.Parallel()
	f := newLauncher(t, "import os; os._exit(7)")
	var told string
	if _, err := f.client.Read(nil, &told); err != nil {
		t.Fatal(err)
	}
	f.client.Settle(true)
	held, release := f.block()
	asked := make(chan error, 1)
	go func() { _, err := f.client.Read(nil, &told); asked <- err }()
	<-held
	defer release()
	if _, err := f.client.Read(nil, &told); err == nil || !strings.Contains(err.Error(), "is being read already") {
		t.Errorf(`a second reading at the same time: %v; want an error with "is being read already"`, err)
	}
	f.client.Abandon()
	if err := awaitError(t, "the reading", asked); !errors.Is(err, errStopping) {
		t.Errorf("the reading ends with %v, want %v", err, errStopping)
	}
	if _, err := f.client.Append(filepath.Join(f.dir, "made/access.log")); !errors.Is(err, errStopping) {
		t.Errorf("a log is opened afterwards: %v; want %v", err, errStopping)
	}
	if e := awaitExit(t, f.launch(t)); e.Code != 7 {
		t.Errorf("a worker is launched afterwards: exit %v, want code 7", e)
	}
}

// A pool that a reload has kept, or whose successor did not come up, gets
// workers as its own configuration describes them.
func TestAWorkerIsOfTheReadingThatItsPoolWasMadeFrom(t *testing.T) {
	t.Parallel()
	f := newLauncher(t, "import os; os._exit(int(os.environ['CODE']))")
	text := func(code string) string {
		return strings.Replace(launchText, "python ", "env CODE="+code+"; python ", 1)
	}
	launchers := map[string]func(pool.Order) (pool.Process, error){}
	var told string
	read := func(code, text string) {
		f.configure(t, text)
		if _, err := f.client.Read(nil, &told); err != nil {
			t.Fatal(err)
		}
		launchers[code] = f.client.For("web")
	}
	if _, err := f.client.Read(nil, &told); err != nil { // the first, without CODE
		t.Fatal(err)
	}
	f.client.Settle(true)
	for _, code := range []string{"11", "12", "13"} {
		read(code, text(code))
		f.client.Settle(code != "13")
	}
	f.configure(t, text("12"))
	for range 2 * maxVersions { // reloads for the sake of others
		if _, err := f.client.Read(nil, &told); err != nil {
			t.Fatal(err)
		}
		f.client.Settle(true)
	}
	for code, launch := range launchers {
		files, _ := orderFiles(t)
		p, err := launch(pool.Order{Number: 1, Kind: "wsgi", Files: files, Key: strings.Repeat("a1", 16)})
		if err != nil {
			t.Fatal(err)
		}
		want := code
		if code == "13" { // it was forgotten: what serves counts
			want = "12"
		}
		if e := awaitExit(t, p); fmt.Sprint(e.Code) != want {
			t.Errorf("a worker of reading %s has %v; want %v", code, e, want)
		}
	}
	read("none", "server { listen unix:DIR/web.sock; }")
	f.client.Settle(true)
	files, _ := orderFiles(t)
	if _, err := launchers["11"](pool.Order{Number: 1, Kind: "wsgi", Files: files, Key: strings.Repeat("a1", 16)}); err == nil {
		t.Error("an app that the configuration does not have any more was started")
	}
}
