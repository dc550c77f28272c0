package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

// When clients have used the descriptors up, a reload and a rotation of logs
// may fail, and say so; the server serves on, and tells its state.
func TestUsedUpDescriptorsCostNoService(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		dir, address := proxytest.PublicDir(t), freeAddress(t)
		write(t, dir, "app.py", upgradedApp)
		write(t, dir, "alicorn.conf", master+"error_log error.log notice;\naccess_log access.log;\n"+
			"app web { wsgi app:app; workers 1; python /usr/bin/python3; directory "+dir+"; }\n"+
			"server { listen "+address+"; location / { app_pass web; } }\n")
		cmd := startCommand(t, dir, nil, []string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, fewDescriptors), ownProgram(t), "run", "-c", "alicorn.conf"})
		listenersOf(t, dir)
		serving := append(processes(cmd.Process.Pid)["front"], cmd.Process.Pid)
		for range fewDescriptors {
			nc, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
		}
		for _, ask := range []string{"reload", "reopen", "reload", "reopen"} {
			_, _ = verbIn(t, dir, ask).CombinedOutput() // it may fail, and ends
			sig := map[string]syscall.Signal{"reload": syscall.SIGHUP, "reopen": syscall.SIGUSR1}[ask]
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if out, err := verbIn(t, dir, "status").CombinedOutput(); err != nil {
				t.Errorf("%s: status after %s: %v: %s", master, ask, err, out)
			}
			awaitCondition(t, "a new client gets no answer", func() bool {
				nc, err := net.Dial("tcp", address)
				if err != nil {
					return false
				}
				defer nc.Close()
				_, err = oneRequest(nc, bufio.NewReader(nc))
				return err == nil
			})
		}
		if now := append(processes(cmd.Process.Pid)["front"], cmd.Process.Pid); !slices.Equal(now, serving) {
			t.Errorf("%s: processes %v serve, before %v", master, now, serving)
		}
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		if strings.Contains(string(log), "ended unexpectedly") {
			t.Errorf("%s: the log (want no \"ended unexpectedly\" in it):\n%s", master, log)
		}
		if out, err := verbIn(t, dir, "stop", "--now").CombinedOutput(); err != nil {
			t.Errorf("%s: stop: %v: %s", master, err, out)
		}
	}
}

// fewDescriptors is as many as each process of the server may have.
const fewDescriptors = 64
