package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// sockets is one run of the mode sockets: many WebSockets send messages at a steady rate,
// and every message must come back, in order.
type sockets struct {
	count    int
	rate     int // messages a second of each
	duration time.Duration
}

// socketsTally is what the WebSockets saw.
type socketsTally struct {
	sent, received atomic.Int64
	failed         faults

	mu        sync.Mutex
	latencies []time.Duration
}

// runSockets counts messages that WebSockets lose.
func runSockets(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("sockets", flag.ContinueOnError)
	var m sockets
	flags.IntVar(&m.count, "sockets", 1000, "`number` of WebSockets")
	flags.IntVar(&m.rate, "rate", 10, "`number` of messages a second that each sends")
	flags.DurationVar(&m.duration, "duration", 30*time.Second, "how long they send")
	serverList := flags.String("servers", "alicorn", "`names` of servers, separated by commas")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if m.count < 1 || m.rate < 1 || m.duration < time.Second {
		return errors.New("-sockets and -rate must be at least 1, and -duration at least 1s")
	}
	allowed, err := raiseDescriptors(uint64(2*m.count + spareDescriptors))
	if err != nil {
		return err
	}
	if int(allowed) < m.count+spareDescriptors {
		return fmt.Errorf("a process may have %d descriptors, too few for %d WebSockets", allowed, m.count)
	}
	shape := func(s *site) {
		s.app, s.asgi, s.streams = asgiApp, true, m.count
		s.connections = 2*m.count + spareDescriptors
	}
	return withServers(ctx, *serverList, shape, func(s *server) error { return m.measure(ctx, s) })
}

// measure runs the WebSockets on one server and prints what it cost.
func (m *sockets) measure(ctx context.Context, s *server) error {
	c, err := caseNamed("websocket")
	if err != nil {
		return err
	}
	if err := s.ready(ctx, c); err != nil {
		return err
	}
	opened, err := openWebSockets(ctx, m.count, s.addr, c.path)
	defer closeAll(opened)
	if err != nil {
		return err
	}
	before, err := s.usage()
	if err != nil {
		return err
	}
	var t socketsTally
	m.drive(ctx, opened, &t)
	after, err := s.usage()
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d WebSockets for %v: %d messages sent, %d lost; CPU %.1f µs/message; memory %s %s\nlatency: %s\n",
		s.name, m.count, m.duration, t.sent.Load(), t.sent.Load()-t.received.Load(),
		float64((after.cpu-before.cpu).Microseconds())/float64(max(t.received.Load(), 1)), mebibytes(after.memory), after.memoryBy,
		distribution(t.latencies))
	err = t.failed.verdict("WebSockets")
	if lost := t.sent.Load() - t.received.Load(); lost > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d of %d messages were lost", errBroken, lost, t.sent.Load()))
	}
	return err
}

// drive has each WebSocket send until the duration is over, and waits until all that was
// sent has come back, or the deadline of requests is over.
func (m *sockets) drive(ctx context.Context, opened []*webSocket, t *socketsTally) {
	ctx, cancel := context.WithTimeout(ctx, m.duration)
	defer cancel()
	var wg sync.WaitGroup
	for _, w := range opened {
		wg.Go(func() { t.failed.add(m.one(ctx, w, t)) })
	}
	wg.Wait()
}

// lastMessage is what each WebSocket sends at the end: all that it sent before has come
// back, or is lost, when this comes back.
const lastMessage = "last"

// one sends on w at the rate, beside a goroutine that receives.
func (m *sockets) one(ctx context.Context, w *webSocket, t *socketsTally) error {
	if err := w.conn.SetDeadline(time.Now().Add(m.duration + requestDeadline)); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() { received <- m.receive(w, t) }()
	err := m.send(ctx, w, t)
	if err != nil {
		w.conn.Close()
	}
	return errors.Join(err, <-received)
}

// send sends a message at each tick; the first at a random moment, so that not all send
// at once. A message begins with its number and the time when it was sent.
func (m *sockets) send(ctx context.Context, w *webSocket, t *socketsTally) error {
	interval := time.Second / time.Duration(m.rate)
	sleep(ctx, rand.N(interval))
	tick := time.NewTicker(interval)
	defer tick.Stop()
	message := make([]byte, echoSize)
	for n := uint64(0); ctx.Err() == nil; n++ {
		binary.BigEndian.PutUint64(message, n)
		binary.BigEndian.PutUint64(message[8:], uint64(time.Now().UnixNano()))
		t.sent.Add(1)
		if err := w.send(opBinary, message); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return w.send(opText, []byte(lastMessage))
}

// receive compares what comes back, until the last message.
func (m *sockets) receive(w *webSocket, t *socketsTally) error {
	var latencies []time.Duration
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.latencies = append(t.latencies, latencies...)
	}()
	for n := uint64(0); ; n++ {
		opcode, message, err := w.receive()
		switch {
		case err != nil:
			return err
		case opcode == opText && string(message) == lastMessage:
			return nil
		case opcode != opBinary || len(message) != echoSize || binary.BigEndian.Uint64(message) != n:
			return fmt.Errorf("message %d is another one: opcode %d, %.20q", n, opcode, message)
		}
		t.received.Add(1)
		latencies = append(latencies, time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(message[8:])))))
	}
}
