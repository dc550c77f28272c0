package appserver

import "syscall"

// dieWithParent makes the kernel kill the new process when this one ends, for whatever
// reason.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
