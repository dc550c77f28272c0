package pool

import (
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"

	"alicorn/proxy"
)

type eventKind uint8

// The kinds of events of a pool.
const (
	eventReady      eventKind = iota // the application has imported
	eventBootFailed                  // the application has failed to import
	eventExited                      // the process has ended and all it sent was read
	eventLeaving                     // the worker asks to be retired
	eventViolation                   // the worker broke the protocol
	eventLost                        // nothing goes by the worker's stream channel
	eventTired                       // the worker has had max_requests
	eventIdle                        // a leaving worker has ended its last request
	eventScaled
	eventSucceeded // another pool takes the app's new requests
	eventStopped   // the pool ends now
	eventCutOff    // a WebSocket has lost its worker
	eventQuits     // the server stops
)

type event struct {
	kind   eventKind
	w      *worker
	text   string
	exit   Exit
	report Report
	boot   *BootError
	cut    <-chan struct{} // for eventStopped: ends the wait for requests
	socket Socket          // for eventCutOff
	code   uint16
	within time.Duration // for eventQuits: until WebSockets are cut
}

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 30 * time.Second
	stableAfter  = time.Second // a worker that is ready for this long ends a row of failures
	dumpTime     = 300 * time.Millisecond
	killAfter    = 2 * time.Second
)

// watch is what the supervisor alone knows of a worker.
type watch struct {
	beat      uint32 // its heartbeat, as last seen
	beatSeen  time.Time
	deadline  time.Time // of start-up or leaving
	urged     urge
	reason    string // why it is condemned or leaves
	boot      *BootError
	importing bool      // counts among those that import
	looked    time.Time // when its use of the CPU was looked at
	used      int64     // CPU time by then, in clock ticks
	parting   []parting // WebSockets that are to end
}

// urge is what was done to end a worker.
type urge uint8

const (
	unurged urge = iota
	parted       // the WebSockets of an ASGI worker end, one after the other
	drained      // its other requests were told to end
	termed       // it has had TERM, or there is nothing that TERM would let it finish
	killed
)

// supervision is what the supervisor alone keeps of the pool.
type supervision struct {
	ticked    time.Time // the last time
	idleTicks int
	failures  int             // in a row
	young     int             // workers in a row that ended right after they became ready
	cut       <-chan struct{} // ends what retiring or stopping may take
	quitting  time.Time       // when streams are ended next; zero: the server does not stop
}

// sinceTick returns the time since the last tick, pauseAfter at most.
func (s *supervision) sinceTick(now time.Time) time.Duration {
	since := min(now.Sub(s.ticked), pauseAfter)
	s.ticked = now
	return since
}

// idles reports whether the tick may rest after this one, in which requests were
// outstanding where busy.
func (s *supervision) idles(busy bool) bool {
	if s.idleTicks++; busy {
		s.idleTicks = 0
	}
	if s.idleTicks < int(restAfter) {
		return false
	}
	s.idleTicks = 0
	return true
}

// run handles events, and calls reconcile, which is idempotent, after them.
func (p *Pool) run() {
	defer func() {
		p.ticker.Stop()
		p.outputs.end()
		p.o.Imports.forget(p)
		p.o.Observer.Ended()
		p.arena.Close()
		close(p.done)
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case e := <-p.events:
			p.on(e)
		case <-p.ticker.C:
			p.tick(time.Now())
		case <-timer.C:
		case <-p.cut:
			p.cut = nil
			p.hurry()
		}
		next, ended := p.reconcile(time.Now())
		if ended {
			return
		}
		timer.Reset(time.Until(next))
	}
}

func (p *Pool) on(e event) {
	w := e.w
	if w != nil && w.state == workerDead {
		return
	}
	switch e.kind {
	case eventReady:
		p.onReady(w, e.report)
	case eventBootFailed:
		w.boot = e.boot
	case eventExited:
		p.onExit(w, e.exit)
	case eventStopped:
		p.cut = e.cut
		p.retireAll()
	case eventLeaving:
		if w.state < workerLeaving {
			w.log(proxy.LevelNotice, "leaves: %s", printable(e.text))
		}
		p.retire(w, workerLeaving, e.text)
	case eventViolation:
		p.onViolation(w, e.text)
	case eventLost:
		p.mu.Lock()
		needed := w.state <= workerReady || w.state == workerLeaving && w.outstanding > 0
		p.mu.Unlock()
		if needed {
			p.onViolation(w, e.text)
		}
	case eventQuits:
		p.quits(time.Now(), e.within)
	case eventCutOff:
		e.socket.Close(nil, e.code, "")
	case eventIdle:
		if w.streams != nil && w.state == workerLeaving && w.urged < drained {
			w.urged = drained // there is only its own end left, and what it does after its responses
			w.deadline = time.Now().Add(max(p.o.GracefulTimeout, p.o.DrainTimeout))
		}
		if w.state == workerCondemned && w.urged < killed {
			w.deadline = time.Now() // the other threads have finished
		}
	}
}

// onViolation ends w, which has broken the protocol.
func (p *Pool) onViolation(w *worker, breach string) {
	w.log(proxy.LevelAlert, "broke the worker protocol: %s", breach)
	if w.state == workerStarting {
		w.boot = &BootError{App: p.o.Name, Worker: w.name, Message: "it broke the worker protocol while it started: " + breach}
	}
	p.retire(w, workerCondemned, "it broke the worker protocol")
	w.urged = killed
	w.signal(syscall.SIGKILL)
}

func (p *Pool) onReady(w *worker, r Report) {
	if w.state != workerStarting {
		return
	}
	if told, ok := w.process.(interface{ CameUp() }); ok && !p.cameUp {
		told.CameUp()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.report, w.state, w.deadline, w.readied = r, workerReady, time.Time{}, time.Now()
	w.early.end()
	for i, v := range p.ready {
		if i == 0 || v.assigned < w.assigned {
			w.assigned = v.assigned
		}
	}
	p.ready = append(p.ready, w)
	p.agree()
	p.readied()
	p.endImport(w)
	p.occupy(w)
}

// agree gives the observer the reports of the ready workers. The lock is held.
func (p *Pool) agree() {
	all := make([]Report, len(p.ready))
	for i, w := range p.ready {
		all[i] = w.report
	}
	p.o.Observer.Reported(all)
}

// retire takes w's waiting requests back and lets it finish what it runs.
func (p *Pool) retire(w *worker, to workerState, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.state >= to {
		return
	}
	first, starting := w.state < workerLeaving, w.state == workerStarting
	w.state, w.reason = to, reason
	p.ready = slices.DeleteFunc(p.ready, func(v *worker) bool { return v == w })
	p.agree()
	if first {
		p.takeAll(w)
		w.channel.EndWrites(w.threads)
		w.deadline = time.Now()
		if !starting { // a worker that imports has no request to finish
			w.deadline = w.deadline.Add(p.o.GracefulTimeout)
		}
	}
	p.dispatch()
}

func (p *Pool) retireAll() {
	for _, w := range slices.Clone(p.workers) {
		p.retire(w, workerLeaving, "the pool stops")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.queue.first != nil {
		p.expire(p.queue.first, "stopped before a worker was free")
	}
}

// hurry sends every worker TERM now.
func (p *Pool) hurry() {
	for _, w := range p.workers {
		switch {
		case w.streams != nil && w.state == workerLeaving && w.urged < drained:
			p.drain(w, time.Now())
		case w.urged < termed:
			w.deadline = time.Now()
		}
	}
}

// reconcile starts, retires and kills workers as the state of the pool requires. It
// returns when to call it again at the latest, and whether the pool has ended.
func (p *Pool) reconcile(now time.Time) (next time.Time, ended bool) {
	p.mu.Lock()
	want, ends := p.wanted(), p.phase == phaseEnds
	p.mu.Unlock()
	for _, w := range slices.Clone(p.workers) {
		if !w.deadline.IsZero() && !now.Before(w.deadline) {
			p.overdue(w, now)
		}
	}
	if ends {
		return p.nextDeadline(now), len(p.workers) == 0
	}
	if want == 0 {
		p.retireIdle()
		p.mu.Lock()
		back := p.queue.length > 0 // something has come back meanwhile
		p.mu.Unlock()
		if back {
			return now, false
		}
		return p.nextDeadline(now), len(p.workers) == 0
	}
	fresh, tired := p.count()
	for fresh < want && p.mayStart(now) {
		if p.startOne(now) {
			fresh++
		}
	}
	if fresh >= want {
		p.o.Imports.forget(p)
	}
	p.retireSpare(want, tired)
	p.hasten(now)
	p.tellStarted(want)
	next = p.nextDeadline(now)
	if fresh < want && p.next.After(now) && p.next.Before(next) {
		next = p.next
	}
	return p.watchImports(now, next), false
}

// wanted returns how many workers there should be. It is one while the last start has
// failed, which is enough to see whether the next one succeeds, and none when the pool
// was succeeded and no requests wait. The lock is held.
func (p *Pool) wanted() int {
	switch {
	case p.replaced && p.queue.length == 0:
		return 0
	case p.broken():
		return 1
	}
	return p.want
}

// mayStart reports whether the next worker may be started now.
func (p *Pool) mayStart(now time.Time) bool {
	return !now.Before(p.next) && p.o.Imports.take(p)
}

// retireIdle retires workers without requests of a pool that was succeeded. Those of ASGI
// leave as soon as they have begun all that they were sent: their requests may go on for hours.
func (p *Pool) retireIdle() {
	for _, w := range slices.Clone(p.workers) {
		p.mu.Lock()
		idle := w.outstanding == 0 || w.streams != nil && !w.keepsWaiting() // it ends what it has begun
		p.mu.Unlock()
		if idle {
			p.retire(w, workerLeaving, "the pool was replaced")
		}
	}
}

func (p *Pool) nextDeadline(now time.Time) time.Time {
	next := now.Add(time.Hour)
	for _, w := range p.workers {
		if !w.deadline.IsZero() && w.deadline.Before(next) {
			next = w.deadline
		}
	}
	return next
}

// count returns how many workers start or serve and stay, and the workers to be replaced.
func (p *Pool) count() (fresh int, tired []*worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		switch {
		case w.state > workerReady:
		case w.tired:
			tired = append(tired, w)
		default:
			fresh++
		}
	}
	return fresh, tired
}

// retireSpare retires workers that are replaced, or beyond want, once enough are ready.
func (p *Pool) retireSpare(want int, tired []*worker) {
	p.mu.Lock()
	ready := len(p.ready)
	var newest *worker
	for _, w := range p.ready {
		if !w.tired && (newest == nil || w.number > newest.number) {
			newest = w
		}
	}
	p.mu.Unlock()
	for _, w := range tired {
		if ready <= want {
			return
		}
		ready--
		p.retire(w, workerLeaving, "it has had max_requests")
	}
	if ready > want && newest != nil {
		p.retire(newest, workerLeaving, "the pool is made smaller")
		p.post(event{kind: eventScaled})
	}
}

func (p *Pool) startOne(now time.Time) bool {
	number := 1
	for slices.ContainsFunc(p.workers, func(w *worker) bool { return w.number == number }) {
		number++
	}
	w, err := p.newWorker(number)
	if err != nil {
		p.o.Imports.give()
		p.bootFailed(&BootError{App: p.o.Name, Worker: fmt.Sprintf("%s:%d", p.o.Name, number), Message: err.Error()})
		return false
	}
	w.deadline = now.Add(p.o.StartupTimeout)
	w.importing, w.looked = true, now
	p.mu.Lock()
	p.workers = append(p.workers, w)
	p.mu.Unlock()
	return true
}

func (p *Pool) tellStarted(want int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) >= want && p.failed == nil {
		p.decide(nil)
	}
}

// decide settles the outcome of the first start, once. The lock is held.
func (p *Pool) decide(e *BootError) {
	if p.settleFirst(e) {
		close(p.came)
	}
}

// bootFailed notes why an application does not come up, and delays the next start. It
// logs the failure unless await still waits for the first start.
func (p *Pool) bootFailed(e *BootError) {
	p.backOff()
	p.mu.Lock()
	silent := p.silent
	p.fails(e)
	p.decide(e)
	p.refuse()
	p.mu.Unlock()
	if silent {
		return
	}
	p.logFailure(e)
}

// logFailure logs a failed start, a repeated reason in one line.
func (p *Pool) logFailure(e *BootError) {
	p.mu.Lock()
	isNews := p.isNews(e.Message + e.Traceback)
	p.mu.Unlock()
	if !isNews {
		p.logf(proxy.LevelError, "%s did not come up again: %s", e.Worker, e.Message)
		return
	}
	p.logf(proxy.LevelError, "%s: %s", e.Worker, e.Error())
}

func (p *Pool) backOff() {
	d := min(firstBackoff<<min(p.failures, 16), lastBackoff)
	p.failures++
	p.mu.Lock()
	p.delay(time.Now().Add(d))
	p.mu.Unlock()
}

// refuse answers the waiting requests while no worker serves and the last start has
// failed, since the next start may be far away and fail as well. The lock is held.
func (p *Pool) refuse() {
	for p.broken() && p.queue.first != nil {
		r := p.queue.first
		p.queue.remove(r)
		r.fail(p.unavailable())
		r.Drop()
	}
}

// unavailable is the answer to requests while the pool is broken. The lock is held.
func (p *Pool) unavailable() *proxy.Fail {
	return &proxy.Fail{Status: 503, Level: proxy.LevelError, RetryAfter: max(1, int(math.Ceil(time.Until(p.next).Seconds()))),
		Reason: fmt.Sprintf("app %q is not running: %s", p.o.Name, p.failed.Message)}
}

// overdue acts when w's deadline has passed.
func (p *Pool) overdue(w *worker, now time.Time) {
	switch {
	case w.state == workerStarting:
		w.boot = &BootError{App: p.o.Name, Worker: w.name,
			Message: fmt.Sprintf("it was not ready within startup_timeout (%s); %s", p.o.StartupTimeout, bootMessage)}
		w.signal(DumpSignal)
		p.retire(w, workerCondemned, "startup_timeout")
		w.deadline = now.Add(dumpTime)
		w.urged = termed // a worker that hangs in the import has no request to finish
	case w.streams != nil && w.state == workerLeaving && w.urged < parted:
		p.part(w, now)
	case w.streams != nil && w.state == workerLeaving && w.urged < drained:
		p.drain(w, now)
	case w.urged < termed:
		w.urged = termed
		w.signal(syscall.SIGTERM)
		w.deadline = now.Add(killAfter)
	case w.urged < killed:
		w.urged = killed
		w.signal(syscall.SIGKILL)
		w.deadline = time.Time{}
	default:
		w.deadline = time.Time{}
	}
}
