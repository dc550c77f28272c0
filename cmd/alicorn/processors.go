package main

import (
	"fmt"
	"runtime"

	"alicorn/config"
	"alicorn/proxy"
)

// maxLoops bounds worker_processes.
const maxLoops = 512

func (p process) loopsDirective() config.Directive {
	return config.Directive{
		Name: "worker_processes", In: config.Main, Args: config.OneArg, Syntax: "NUMBER | auto", Default: "auto", Set: p.setLoops,
		Help: "How many event loops serve connections, in one process: 1 to 512. auto is half as many as there are CPUs, at least one, which leaves the others to applications, handshakes and files. Measured on two CPUs with the clients beside it: with two loops a request to an application took 23 % more CPU time than with one, and files were served no faster. Read at the start: after a change reload says that another start is needed, or an upgrade.",
	}
}

func (p process) setLoops(s *config.Scope, n *config.Node) error {
	c := p.key.In(s)
	c.Loops, c.LoopsPos = 0, n.Args[0].Pos
	if n.Arg(0) == "auto" {
		return nil
	}
	loops, err := config.ParseInt(n.Arg(0), 1, maxLoops)
	if err != nil {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("invalid number of worker_processes %q; it is auto, or a number from 1 to %d", n.Arg(0), maxLoops)}
	}
	c.Loops = loops
	return nil
}

// autoLoops returns the number for worker_processes auto: one loop for two
// processors. On two processors, with the clients on the same machine, an
// application's request took 23 % more CPU time with two loops than with one, and
// 31 % more with three, because each loop answers fewer requests between two waits.
// Two served files no faster (1.01 of one at 32 connections, 0.99 at 512).
func autoLoops(processors int) int { return max(processors/2, 1) }

// reserveProcessors lets Go's scheduler run one more goroutine at once for each event
// loop, beyond the number of processors. It returns the number of loops: wanted, or
// that of auto for 0. It must be called at the start of a process.
//
// A loop's leader that returns from the system's poller needs one of the scheduler's
// places. Where handshakes or files take all of them it waits behind other ready
// goroutines: beside a burst of 250 handshakes on two processors one request in a
// hundred took 50 ms. With a further place for each leader it takes 15 ms, because
// the kernel prefers the thread that has slept. Long work still has only as many
// places as there are processors (see eventloop's Labor), so throughput is the same.
func reserveProcessors(wanted int) (loops int) {
	processors := runtime.GOMAXPROCS(0)
	loops = wanted
	if loops == 0 {
		loops = autoLoops(processors)
	}
	runtime.GOMAXPROCS(processors + loops)
	return loops
}

// compareLoops logs that a reload does not change the number of loops.
func (s *server) compareLoops(ld *loaded) {
	wanted := ld.process.Loops
	if wanted == 0 {
		wanted = autoLoops(runtime.GOMAXPROCS(0) - s.p.loops)
	}
	if wanted == s.p.loops || s.p.loops == 0 {
		return
	}
	place := ld.process.LoopsPos.String()
	if ld.process.LoopsPos == (config.Pos{}) {
		place = s.p.name
	}
	ld.generation.LogTo(proxy.LevelLife, fmt.Sprintf("%s: the number of event loops that worker_processes asks for is %d, and this process goes on with %d: restart it, or have another take over with \"alicorn upgrade\"", place, wanted, s.p.loops))
}
