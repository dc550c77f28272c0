package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// clientAddresses is how many of 127.0.0.2 and on connections come from: each
// has ports of its own, so that they do not run out.
const clientAddresses = 16

// idle is a crowd of connections that have made a request and wait.
type idle struct {
	connections int
	settle      time.Duration
	path        string
	secure      bool
	limit       int64 // bytes of alicorn's front before the crowd comes
}

// runIdle shows what connections that wait cost the front.
func runIdle(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("idle", flag.ContinueOnError)
	var i idle
	serverList := flags.String("servers", "alicorn", "servers by name, separated by commas")
	flags.IntVar(&i.connections, "connections", 20_000, "kept connections that are open at once")
	flags.DurationVar(&i.settle, "settle", 5*time.Second, "before memory is read")
	flags.StringVar(&i.path, "path", "/static/1k", "what each connection asks for, once")
	flags.BoolVar(&i.secure, "tls", false, "by https")
	limit := flags.Int64("limit", 30, "MiB (PSS) that alicorn's front may hold before")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if i.connections < 1 || i.settle >= time.Minute {
		return errors.New("-connections must be at least 1 and -settle below a minute: servers keep connections for 75s")
	}
	i.limit = *limit << 20
	if err := i.fit(); err != nil {
		return err
	}
	shape := func(s *site) { s.connections, s.secure = i.connections+spareDescriptors, i.secure }
	return withServers(ctx, *serverList, shape, func(s *server) error {
		if err := s.ready(ctx, allCases()[0]); err != nil {
			return err
		}
		return i.measure(ctx, s)
	})
}

// spareDescriptors are left for all but connections, in this process and the servers'.
const spareDescriptors = 500

// fit raises this process's limit of descriptors, which servers inherit, and
// opens fewer connections where the system does not allow enough.
func (i *idle) fit() error {
	allowed, err := raiseDescriptors(uint64(i.connections + spareDescriptors))
	if err != nil {
		return err
	}
	if room := int(allowed) - spareDescriptors; room < i.connections {
		fmt.Printf("a process may have %d descriptors: %d connections instead of %d\n", allowed, room, i.connections)
		i.connections = room
	}
	return nil
}

// raiseDescriptors raises this process's limit to n, or to what the system
// allows, and returns the limit in effect.
func raiseDescriptors(n uint64) (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("cannot read the limit of descriptors: %w", err)
	}
	raised := syscall.Rlimit{Cur: max(limit.Cur, n), Max: max(limit.Max, n)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		return uint64(raised.Cur), nil
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("cannot raise the limit of descriptors: %w", err)
	}
	return uint64(limit.Cur), nil
}

// measure prints what the front holds before, with and after the crowd.
func (i *idle) measure(ctx context.Context, s *server) error {
	before, err := i.print(ctx, s, "before")
	if err != nil {
		return err
	}
	crowd, err := i.open(ctx, s.addr, s.tls)
	defer closeAll(crowd)
	if err != nil {
		return err
	}
	with, err := i.print(ctx, s, fmt.Sprintf("with %d", len(crowd)))
	if err != nil {
		return err
	}
	n := int64(len(crowd))
	fmt.Printf("%-15s each connection: %.2f KiB PSS, %.2f KiB RSS\n", s.name,
		float64(with.pss-before.pss)/float64(n<<10), float64(with.rss-before.rss)/float64(n<<10))
	if err := i.stillServed(crowd, s.addr); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	closeAll(crowd)
	if _, err := i.print(ctx, s, "after"); err != nil {
		return err
	}
	if s.name == "alicorn" && before.pss > i.limit {
		return fmt.Errorf("%w: the front holds %s, limit %s", errBroken, mebibytes(before.pss), mebibytes(i.limit))
	}
	return nil
}

func (i *idle) print(ctx context.Context, s *server, when string) (holdings, error) {
	select {
	case <-ctx.Done():
		return holdings{}, ctx.Err()
	case <-time.After(i.settle):
	}
	pids, err := s.front()
	if err != nil {
		return holdings{}, err
	}
	h, err := proc.holdings(pids...)
	if err == nil {
		fmt.Printf("%-15s %-12s %v\n", s.name, when, h)
	}
	return h, err
}

// open opens the crowd, by TLS unless trust is nil. On error some connections
// may be open.
func (i *idle) open(ctx context.Context, addr string, trust *tls.Config) ([]net.Conn, error) {
	const openers = 32
	crowd := make([]net.Conn, i.connections)
	errs := make([]error, openers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for o := range openers {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(crowd) && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				conn, err := dialFrom(n, addr)
				if err == nil && trust != nil {
					conn = secured(conn, trust)
				}
				if err == nil {
					crowd[n] = conn
					err = i.ask(conn, addr)
				}
				if err != nil {
					errs[o] = fmt.Errorf("connection %d: %w", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return crowd, errors.Join(append(errs, ctx.Err())...)
}

// dialFrom connects from one of the client's addresses.
func dialFrom(n int, addr string) (net.Conn, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+n%clientAddresses))}
	return (&net.Dialer{LocalAddr: from, Timeout: requestDeadline, KeepAlive: -1}).Dial("tcp", addr)
}

// secured is a client's end of TLS. The certificate is for another loopback
// address than this one may be.
func secured(conn net.Conn, trust *tls.Config) net.Conn {
	own := trust.Clone()
	own.ServerName = "127.0.0.1"
	return tls.Client(conn, own)
}

// ask makes one request, of which nothing stays in this process.
func (i *idle) ask(conn net.Conn, addr string) error {
	if err := conn.SetDeadline(time.Now().Add(requestDeadline)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", i.path, addr); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || response.Close {
		return fmt.Errorf("status %s, to be closed: %v", response.Status, response.Close)
	}
	return nil
}

// stillServed asks on every hundredth connection again: none may be lost.
func (i *idle) stillServed(crowd []net.Conn, addr string) error {
	for n := 0; n < len(crowd); n += 100 {
		if err := i.ask(crowd[n], addr); err != nil {
			return fmt.Errorf("the idle connection %d is not served any more: %w", n, err)
		}
	}
	return nil
}

func closeAll(crowd []net.Conn) {
	for _, conn := range crowd {
		if conn != nil {
			conn.Close()
		}
	}
}
