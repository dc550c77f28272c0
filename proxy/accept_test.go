package proxy

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheLogSaysWhatAllowsMoreDescriptors(t *testing.T) {
	for errno, remedy := range map[unix.Errno]bool{unix.EMFILE: true, unix.ENFILE: false, unix.ENOBUFS: false} {
		var log bytes.Buffer
		e := NewEngine(nil, nil)
		e.current.Store(&Generation{ErrorLog: slog.New(slog.NewTextHandler(&log, nil))})
		e.acceptFailed(&Listener{Address: "127.0.0.1:80"}, os.NewSyscallError("accept", errno))
		if got := log.String(); !strings.Contains(got, "cannot accept on 127.0.0.1:80: accept: ") || strings.Contains(got, "LimitNOFILE") != remedy {
			t.Errorf(`%v: %s; want "cannot accept on 127.0.0.1:80: accept: " in it and %v`, errno, got, remedy)
		}
	}
}
