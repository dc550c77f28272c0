package main

import (
	"fmt"
	"os"
	"strconv"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
)

// The bounds of worker_priority. The system takes 20 for 19.
const (
	minPriority = -20
	maxPriority = 20
)

func (p process) priorityDirective() config.Directive {
	return config.Directive{
		Name: "worker_priority", In: config.Main, Args: config.OneArg, Syntax: "NUMBER", Default: "0", Set: p.setPriority,
		Help: "The priority of the process that speaks to clients, in the numbers of nice: from -20, which gets processors first, to 20. 0 is that of the server as it was started. Workers of applications keep the server's, so that with a negative number they delay files and new connections less. Measured with many attacks at once: with -10 files were answered 2 to 3 times sooner than with 0. Set at the start and again at each successful reload, also where somebody has changed it with renice. The command of acme_dns_hook has the same priority, since this process starts it. It takes a server that root has started, on Linux. In a container a number below the present one takes the capability CAP_SYS_NICE; without that the error log and \"alicorn status\" say so, and the server goes on. A server of one process ignores it, with a warning.",
	}
}

func (p process) setPriority(s *config.Scope, n *config.Node) error {
	nice, err := strconv.Atoi(n.Arg(0)) // with a sign or without, as in nginx
	if err != nil || nice < minPriority || nice > maxPriority {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid worker_priority %q; it is a whole number from %d to %d", n.Arg(0), minPriority, maxPriority)}
	}
	p.key.In(s).Priority = keeper.Priority{Nice: nice, Pos: n.Args[0].Pos}
	return nil
}

// warnOfPriority warns where worker_priority has no effect: in one process, where the
// workers of applications would have the priority, too. split: this is one of two
// processes.
func (c *processSettings) warnOfPriority(l *config.Load, split bool) {
	why := ""
	switch {
	case c.Priority.Nice == 0 || split:
		return
	case !keeper.Supported:
		why = "on this system the server is one process"
	case c.OneProcess:
		why = "with master_process off the server is one process"
	case os.Geteuid() != 0:
		why = "a server that is not started as root is one process"
	default:
		return
	}
	l.Warn(c.Priority.Pos, "worker_priority has no effect: %s", why)
}
