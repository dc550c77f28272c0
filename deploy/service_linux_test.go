package deploy_test

import (
	gocontext "context" // context is something else here
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/proxytest"
)

// serviceEnv names the folder of packages to the test that runs with mounts of
// its own.
const serviceEnv = "ALICORN_TEST_SERVICE"

// The service lives with systemd as an administrator expects: installed,
// reloaded, upgraded, stopped, started by its socket, removed.
func TestTheServiceUnderSystemd(t *testing.T) {
	if folder := os.Getenv(serviceEnv); folder != "" {
		liveWithSystemd(t, folder)
		return
	}
	t.Parallel()
	inNamespaces(t, unix.CLONE_NEWNS, serviceEnv+"="+packages(t))
}

// packages builds 1.deb and 2.deb, which differ by their versions only,
// broken.deb, whose program fails, and puts the program beside them.
func packages(t *testing.T) (folder string) {
	t.Helper()
	folder = proxytest.PublicDir(t)
	out, err := exec.Command("dpkg-deb", "--extract", buildPackage(t), filepath.Join(folder, "tree")).CombinedOutput()
	if err == nil {
		err = os.Rename(filepath.Join(folder, "tree/usr/bin/alicorn"), filepath.Join(folder, "alicorn"))
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	write(t, filepath.Join(folder, "false"), brokenProgram, 0o755)
	for _, p := range []struct{ name, version, program string }{{"1.deb", "1.0", "alicorn"}, {"2.deb", "2.0", "alicorn"}, {"broken.deb", "3.0", "false"}} {
		cmd := exec.Command("./deb.sh", folder)
		cmd.Env = append(os.Environ(), "ALICORN_COMPRESSION=none", "ALICORN_VERSION="+p.version, "ALICORN_BINARY="+filepath.Join(folder, p.program))
		built, err := cmd.Output()
		if err == nil {
			err = os.Rename(strings.TrimSpace(string(built)), filepath.Join(folder, p.name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// brokenProgram is one that a package can be made of, and that serves nothing.
const brokenProgram = "#!/bin/sh\ncase $1 in\nman) echo >\"$2/alicorn.1\"; echo >\"$2/alicorn.conf.5\" ;;\ncompletion) ;;\n*) exit 7 ;;\nesac\n"

// slowApp answers at once, or after it was seen to sleep.
const slowApp = `import os, time
def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open("/srv/web/asleep", "w").close()
        time.sleep(1)
    start_response("200 OK", [])
    return [b"served"]
`

const slowSite = "app web { wsgi app:app; directory /srv/web; python /usr/bin/python3; workers 1; }\nserver { listen 80; location / { app_pass web; } }\n"

// service is alicorn.service on a machine.
type service struct {
	*machine
	client *http.Client
}

func liveWithSystemd(t *testing.T, folder string) {
	s := &service{machine: bootMachine(t)}
	s.client = s.newClient(false)
	s.run("ip link set lo up")
	for _, name := range []string{"1.deb", "2.deb", "broken.deb", "alicorn"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		s.write("/root/"+name, string(text), 0o755)
	}
	s.isInstalledByPackage()
	s.isReloaded()
	s.isUpgraded()
	s.comesBack()
	s.run("alicorn upgrade")
	s.stopsInGoodOrder()
	s.isStartedByItsSocket()
	s.isRemoved()
	s.isInstalledByItself()
}

// newClient is a client of the machine's own network.
func (s *service) newClient(keep bool) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: !keep, DialContext: func(gocontext.Context, string, string) (net.Conn, error) {
		return dialBeside(s.pid, "127.0.0.1:80")
	}}}
}

// ask gives what is answered, and why nothing is.
func ask(client *http.Client, path string) (string, error) {
	res, err := client.Get("http://test" + path)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return string(text), err
}

func (s *service) serves(want string) {
	s.t.Helper()
	if text, err := ask(s.client, "/"); err != nil || !strings.HasPrefix(text, want) {
		s.t.Errorf("answer %q, %v; want %q", text, err, want)
	}
}

// is checks properties of the service: "ActiveState=active".
func (s *service) is(wants ...string) {
	s.t.Helper()
	for _, want := range wants {
		name, _, _ := strings.Cut(want, "=")
		if got := strings.TrimSpace(s.run("systemctl show --property=" + name + " alicorn")); got != want {
			s.t.Errorf("the service has %s, want %s", got, want)
		}
	}
}

// process is one process of a machine, which a later one with its pid is not.
type process struct {
	pid   int
	began uint64 // in ticks of the machine's clock
}

// mainProcess returns the service's main process; the zero process while there is none.
func (s *service) mainProcess() (p process) {
	s.t.Helper()
	out := s.run("pid=$(systemctl show --property=MainPID --value alicorn); echo $pid $(cut -d ' ' -f 22 /proc/$pid/stat 2>&1)")
	n, err := fmt.Sscan(out, &p.pid, &p.began)
	switch {
	case n == 0:
		s.t.Fatalf("the service's main process is %q, %v; want a number", out, err)
	case n == 1: // there is none, or it has just ended
		return process{}
	}
	return p
}

// underLoad does something while requests come in, none of which may fail.
func (s *service) underLoad(do func()) {
	s.t.Helper()
	ctx, stop := gocontext.WithCancel(gocontext.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var n int
	var first error
	for i := range 4 {
		client := s.newClient(i < 2)
		wg.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				_, err := ask(client, "/")
				mu.Lock()
				if n++; first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	do()
	stop()
	wg.Wait()
	if first != nil || n < 20 {
		s.t.Errorf("%d requests, the first failure: %v; want nil and at least 20", n, first)
	}
}

const foldersOfService = `drwx------ alicorn /var/lib/alicorn
drwxr-x--- alicorn /var/cache/alicorn
drwxr-x--- alicorn /var/log/alicorn`

func (s *service) isInstalledByPackage() {
	s.t.Helper()
	s.run("dpkg -i 1.deb && systemctl is-enabled alicorn && ! systemctl is-enabled alicorn.socket")
	s.is("ActiveState=active", "SubState=running", "StatusText=Serving", "NRestarts=0")
	s.serves("Alicorn is running.")
	if got := strings.TrimSpace(s.run("stat -c '%A %U %n' /var/lib/alicorn /var/cache/alicorn /var/log/alicorn")); got != foldersOfService {
		s.t.Errorf("folders are\n%s\nwant\n%s", got, foldersOfService)
	}
}

// isReloaded: "systemctl reload" brings a new configuration in, and fails
// where it cannot.
func (s *service) isReloaded() {
	s.t.Helper()
	s.run("useradd web && mkdir /srv/web && chown web: /srv/web")
	s.write("/srv/web/app.py", slowApp, 0o644)
	s.write("/etc/alicorn/conf.d/default.conf", slowSite, 0o644)
	main := s.mainProcess()
	s.run("systemctl reload alicorn")
	s.serves("served")
	if out := s.run("alicorn status --json"); !strings.Contains(out, `"generation": 2,`) {
		s.t.Errorf("a reload is not one reload: %s; want %q in it", out, `"generation": 2,`)
	}
	s.write("/etc/alicorn/conf.d/bad.conf", "sever {\n", 0o644)
	if out, err := s.try("systemctl reload alicorn"); err == nil {
		s.t.Errorf("a reload of a mistake succeeds: %s", out)
	}
	s.run("rm /etc/alicorn/conf.d/bad.conf")
	if now := s.mainProcess(); now != main || now.pid == 0 {
		s.t.Errorf("the main process was %v before reloads, and is %v; want the same", main, now)
	}
	s.is("ActiveState=active")
	s.serves("served")
}

// isUpgraded: newer packages let their program take over, and systemd knows;
// one whose program fails changes nothing.
func (s *service) isUpgraded() {
	s.t.Helper()
	s.underLoad(func() {
		first := s.mainProcess()
		s.run("dpkg -i 2.deb")
		second := s.mainProcess()
		s.run("dpkg -i broken.deb")
		if first == second || s.mainProcess() != second {
			s.t.Errorf("the main process was %v, then %v, and with a broken program %v", first, second, s.mainProcess())
		}
		s.run("dpkg -i 2.deb")
		if s.mainProcess() == second {
			s.t.Errorf("after the broken package and another one the server is %v still, want a new one", second)
		}
	})
	s.is("ActiveState=active", "StatusText=Serving", "NRestarts=0")
}

// comesBack: systemd notices the end of a server that took over from the one
// that it has started.
func (s *service) comesBack() {
	s.t.Helper()
	main := s.mainProcess()
	s.run(fmt.Sprintf("kill -KILL %d", main.pid))
	// The front of the one that was killed may answer for a moment.
	await(s.t, "the service is not started again", func() bool {
		now := s.mainProcess()
		active := s.run("systemctl show --property=ActiveState --value alicorn")
		return now != main && now.pid != 0 && strings.TrimSpace(active) == "active"
	})
	s.is("NRestarts=1")
	s.serves("served")
}

// stopsInGoodOrder: also after an upgrade a stop lets requests end.
func (s *service) stopsInGoodOrder() {
	s.t.Helper()
	answered := make(chan error, 1)
	go func() {
		_, err := ask(s.client, "/slow")
		answered <- err
	}()
	await(s.t, "the application is not called", func() bool {
		if len(answered) > 0 {
			s.t.Fatalf("the request has ended: %v", <-answered)
		}
		_, err := os.Stat(s.path("/srv/web/asleep"))
		return err == nil
	})
	s.run("systemctl stop alicorn")
	if err := <-answered; err != nil {
		s.t.Errorf("a request in progress, when the service stops: %v", err)
	}
	s.is("ActiveState=inactive", "Result=success")
}

// isStartedByItsSocket: with the socket unit connections start the service,
// and wait while it is started again.
func (s *service) isStartedByItsSocket() {
	s.t.Helper()
	s.run("systemctl enable --now alicorn.socket")
	s.is("ActiveState=inactive")
	s.serves("served")
	s.is("ActiveState=active")
	s.underLoad(func() { s.run("systemctl restart alicorn") })
	s.run("alicorn upgrade && systemctl restart alicorn && systemctl stop alicorn.socket alicorn")
	if text, err := ask(s.client, "/"); err == nil {
		s.t.Errorf("answer %q of a service that was stopped", text)
	}
	s.run("systemctl disable alicorn.socket && systemctl start alicorn")
}

// traces are the files of alicorn that are left.
func (s *service) traces() string {
	s.t.Helper()
	return s.run("find /etc /usr /var /run /srv -xdev -name '*alicorn*' ! -path '/var/lib/dpkg/*' | sort")
}

// isRemoved: removing stops the service, and purging leaves the users only.
func (s *service) isRemoved() {
	s.t.Helper()
	s.run("dpkg -r alicorn && ! pgrep alicorn && ls /etc/alicorn/alicorn.conf")
	s.run("dpkg -P alicorn")
	if left := s.traces(); left != "" {
		s.t.Errorf("a purge leaves (want \"\"):\n%s", left)
	}
	s.run("systemctl daemon-reload && getent passwd alicorn && getent passwd alicorn-app")
}

// isInstalledByItself: the verb sets up what the package does.
func (s *service) isInstalledByItself() {
	s.t.Helper()
	s.run("./alicorn install")
	s.serves("Alicorn is running.")
	s.is("ActiveState=active", "UnitFileState=enabled")
	first := s.mainProcess()
	if out := s.run("./alicorn install"); out != "" || s.mainProcess() != first {
		s.t.Errorf(`another install changes something: %s; want "" and the main process %v`, out, first)
	}
	// The same program for the machine, another one for install.
	s.underLoad(func() { s.run("echo >>alicorn && ./alicorn install") })
	if s.mainProcess() == first {
		s.t.Errorf("with another program the server is %v still, want a new one", first)
	}
	s.run("./alicorn uninstall --purge && ! pgrep alicorn")
	if left := s.traces(); left != "" {
		s.t.Errorf("uninstall --purge leaves (want \"\"):\n%s", left)
	}
}
