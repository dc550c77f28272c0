package appserver

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestAStartThatALimitPreventsNamesTheLimit(t *testing.T) {
	for _, tc := range []struct {
		err  syscall.Errno
		want string // in the message; "": nothing is added
	}{
		{syscall.EAGAIN, `of user "shop" (ulimit -u)`},
		{syscall.EMFILE, "ulimit -n"},
		{syscall.ENFILE, "ulimit -n"},
		{syscall.ENOMEM, "out of memory"},
		{syscall.EACCES, ""},
	} {
		err := fmt.Errorf("cannot start: %w", &os.PathError{Op: "fork/exec", Path: "/usr/bin/python3", Err: tc.err})
		if got := shortage(err, "shop"); !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%v: got %q, want %q", tc.err, got, tc.want)
		}
	}
}
