package pool

import "syscall"

// unobserved is the Observer of a pool that nobody looks at.
type unobserved struct{}

func (unobserved) Reported([]Report)              {}
func (unobserved) Noted(kind, path, stamp string) {}
func (unobserved) Ended()                         {}

// newTestPool returns a pool that is not started.
func newTestPool(s Settings) *Pool {
	s.Name = "web"
	return New(Options{Settings: s, Observer: unobserved{}, ParseHead: plainHead, Imports: NewImports(1)})
}

// noProcess is the process of a worker that has none.
type noProcess struct{}

func (noProcess) Pid() int                      { return 1 << 30 }
func (noProcess) User() string                  { return "" }
func (noProcess) Exited() <-chan Exit           { return nil }
func (noProcess) Signal(s syscall.Signal) error { return nil }

// bareJob is a Job whose owner has no more than that.
type bareJob struct{ Job }

func newJob() *Job {
	b := new(bareJob)
	b.Init(b)
	return &b.Job
}

func (*bareJob) Line() string  { return "" }
func (*bareJob) Starved() bool { return false }
func (*bareJob) Reuse()        {}
