package appserver

import "syscall"

// dieWithParent has the kernel kill the process when this one ends, however it
// ends and whatever the process is busy with.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
