package main

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"alicorn/proxy/proxytest"
)

// A server without listen gets port 80 when root starts it, although its front
// is another user's, and 8000 when anybody else does. It has a network of its
// own here: the ports may be in use.
func TestTheDefaultPortIsThatOfWhoStarts(t *testing.T) {
	t.Parallel()
	port, flags := "80", uintptr(syscall.CLONE_NEWNET)
	if os.Geteuid() != 0 {
		port, flags = "8000", flags|syscall.CLONE_NEWUSER
	}
	for _, master := range masters {
		dir := proxytest.PublicDir(t)
		write(t, dir, "alicorn.conf", master+"error_log error.log notice;\nserver { server_name a; }\nserver { server_name b; return 204; }\n")
		cmd := prepareCommand(t, dir, nil, []string{ownProgram(t), "run", "-c", "alicorn.conf"})
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		launch(t, cmd)
		for range 2 { // a reload keeps it
			if got := listenersOf(t, dir); !slices.Equal(got, []string{"0.0.0.0:" + port}) {
				t.Errorf("%s: listens on %q, want port %s of all addresses", master, got, port)
			}
			if out, err := verbIn(t, dir, "reload").CombinedOutput(); err != nil {
				t.Errorf("%s: reload: %v: %s", master, err, out)
			}
		}
	}
}
