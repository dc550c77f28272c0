package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// clientAddresses is the number of addresses, from 127.0.0.2 on, that connections come
// from. Each has ports of its own, so that these do not run out.
const clientAddresses = 16

// waiters is connections that wait.
type waiters struct {
	idleKind
	addr  string
	trust *tls.Config // nil: without TLS
	conns []net.Conn  // nil for those that are not open
}

// open opens n connections. On error some may be open: the caller closes them in
// any case.
func (c *waiters) open(ctx context.Context, n int) error {
	const openers = 32
	c.conns = make([]net.Conn, n)
	errs := make([]error, openers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for o := range openers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				conn, err := dialFrom(i, c.addr)
				if err == nil && c.trust != nil {
					conn = secured(conn, c.trust)
				}
				if err == nil {
					c.conns[i] = conn
					err = c.begin(conn, c.addr, c.path)
				}
				if err != nil {
					errs[o] = fmt.Errorf("connection %d: %w", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, ctx.Err())...)
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

// stillServed looks at every hundredth connection again: none may be lost.
func (c *waiters) stillServed() error {
	for i := 0; i < len(c.conns); i += 100 {
		if err := c.served(c.conns[i], c.addr, c.path); err != nil {
			return fmt.Errorf("the idle connection %d is not served any more: %w", i, err)
		}
	}
	return nil
}

func (c *waiters) close() {
	for _, conn := range c.conns {
		if conn != nil {
			conn.Close()
		}
	}
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
