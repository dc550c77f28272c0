package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

// QUIT lets a kept connection have one more answer, which says that it is the last.
func TestAServerThatQuitsAnswersOneMoreRequest(t *testing.T) {
	t.Parallel()
	for _, master := range masters {
		var err error
		for range 5 { // the connection has a second for its request, for which a machine may be held up
			if err = quit(t, master); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("%s: %v", master, err)
		}
	}
}

// quit starts a server, has it quit beside a kept connection, and sends one more request.
func quit(t *testing.T, master string) error {
	t.Helper()
	dir, address := proxytest.PublicDir(t), freeAddress(t)
	write(t, dir, "alicorn.conf", master+"error_log error.log notice;\nserver { listen "+address+"; return 200 served; }\n")
	cmd := startCommand(t, dir, nil, []string{ownProgram(t), "run", "-c", "alicorn.conf"})
	listenersOf(t, dir)
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	if closing, err := oneRequest(nc, r); err != nil || closing {
		t.Fatalf("the first request: closing %v, %v", closing, err)
	}
	if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, "the server does not stop", func() bool {
		log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		return strings.Contains(string(log), "stopping; ")
	})
	closing, err := oneRequest(nc, r)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: the end of the server: %v", master, err)
	}
	if err != nil || !closing {
		return fmt.Errorf("the request after QUIT: closing %v, %v; want an answer that closes", closing, err)
	}
	return nil
}
