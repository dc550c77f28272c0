package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// readers is one run of the mode readers: clients that read nothing of the long answers of a
// backend at first. The backend must be free of them at once, and so must the connections to
// it: the server under test keeps a few of them, and closes the others.
type readers struct {
	count  int
	size   int
	limit  int64         // bytes of RSS and memfds together that alicorn may hold
	free   time.Duration // how soon the backend and its connections must be free
	origin bulkOrigin
}

// bulkOrigin is a backend of long answers that knows how many it is writing, and how many
// connections it has.
type bulkOrigin struct {
	server  *http.Server
	writing atomic.Int64
	written atomic.Int64
	open    atomic.Int64
}

// readersUpstream is an upstream block that keeps keptConnections for each worker or loop.
const readersUpstream = `upstream backend {
    server %s;
    keepalive %d;
}
`

const keptConnections = 8

// runReaders measures what clients cost that hardly read.
func runReaders(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("readers", flag.ContinueOnError)
	var r readers
	serverList := flags.String("servers", "alicorn", "`names` of servers, separated by commas")
	flags.IntVar(&r.count, "clients", 1000, "`number` of slow readers")
	flags.IntVar(&r.size, "size", 1<<20, "`bytes` of each answer")
	limit := flags.Int64("limit", 300, "`MiB` that alicorn may hold in RSS and memfds; 0: any")
	flags.DurationVar(&r.free, "free", 30*time.Second, "how soon the backend must have written all answers, and its connections must be free")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	if r.count < 1 || r.size < 1 {
		return errors.New("-clients and -size must be at least 1")
	}
	r.limit = *limit << 20
	allowed, err := raiseDescriptors(uint64(4*r.count + spareDescriptors))
	if err != nil {
		return err
	}
	if int(allowed) < 2*r.count+spareDescriptors {
		return fmt.Errorf("a process may have %d descriptors, too few for %d readers", allowed, r.count)
	}
	return r.measure(ctx, *serverList)
}

// measure has the readers read from each server.
func (r *readers) measure(ctx context.Context, servers string) error {
	return withSite(ctx, servers, func(s *site) error {
		s.connections = 4*r.count + spareDescriptors
		dir, err := s.serverDir("origin")
		if err != nil {
			return err
		}
		socket := filepath.Join(dir, "origin.sock")
		s.directives += fmt.Sprintf(readersUpstream, "unix:"+socket, keptConnections)
		s.passes = passLocation
		return r.origin.start(socket, r.size)
	}, func(s *server) error {
		defer r.origin.written.Store(0)
		return r.run(ctx, s)
	})
}

func (o *bulkOrigin) start(socket string, size int) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return err
	}
	body := staticContent(size)
	o.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/long" {
			io.WriteString(w, helloText)
			return
		}
		o.writing.Add(1)
		defer o.writing.Add(-1)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		if _, err := w.Write(body); err == nil {
			o.written.Add(1)
		}
	})}
	o.server.ConnState = o.count
	go o.server.Serve(l)
	return nil
}

// count keeps the number of connections.
func (o *bulkOrigin) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		o.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		o.open.Add(-1)
	}
}

// await waits until all answers were written, and then until no more connections are open
// than the server keeps.
func (r *readers) await(ctx context.Context) (written, free time.Duration, err error) {
	began, o := time.Now(), &r.origin
	kept := int64(keptConnections * runtime.NumCPU())
	for o.written.Load() < int64(r.count) || o.writing.Load() > 0 || o.open.Load() > kept {
		if written == 0 && o.written.Load() == int64(r.count) {
			written = time.Since(began)
		}
		if time.Since(began) > r.free || !sleep(ctx, 10*time.Millisecond) {
			return 0, 0, fmt.Errorf("%w: after %v the backend has written %d of %d answers, %d occupy it, and it has %d connections, want %d at most", errBroken,
				time.Since(began), o.written.Load(), r.count, o.writing.Load(), o.open.Load(), kept)
		}
	}
	free = time.Since(began)
	return cmp.Or(written, free), free, nil
}

// run opens the readers and judges what the server holds once the backend is free.
func (r *readers) run(ctx context.Context, s *server) (err error) {
	hello, err := chooseCases("hello")
	if err != nil {
		return err
	}
	if err := s.ready(ctx, hello[0]); err != nil {
		return err
	}
	conns := make([]*bufio.Reader, r.count)
	var opened []net.Conn
	defer func() {
		for _, conn := range opened {
			conn.Close()
		}
	}()
	for n := range conns {
		conn, err := askSlowly(ctx, n, s.addr)
		if err != nil {
			return err
		}
		opened = append(opened, conn)
		conns[n] = bufio.NewReaderSize(conn, 512)
	}
	written, free, err := r.await(ctx)
	if err != nil {
		return err
	}
	held, err := s.heldBytes()
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d readers of %d bytes: the backend has written all %v after the last has asked, and its connections are free after %v; RSS %s, memfds %s\n",
		s.name, r.count, r.size, written.Round(time.Millisecond), free.Round(time.Millisecond), mebibytes(held.rss), mebibytes(held.memfds))
	if err := s.check(ctx, hello[0]); err != nil {
		return err
	}
	if err := r.readAll(conns); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	if total := held.rss + held.memfds; s.name == "alicorn" && r.limit > 0 && total > r.limit {
		return fmt.Errorf("%w: it holds %s, limit %s", errBroken, mebibytes(total), mebibytes(r.limit))
	}
	return nil
}

// ethernetSegment is the longest segment that clients take. With those of the loopback device
// the server's socket would hold a megabyte for a client that reads nothing.
const ethernetSegment = 1460

// askSlowly asks for a long answer, and lets the system take only a little of it.
func askSlowly(ctx context.Context, n int, addr string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+n%clientAddresses))}, Timeout: requestDeadline,
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			controlErr := c.Control(func(fd uintptr) {
				err = errors.Join(syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096),
					syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, ethernetSegment))
			})
			return errors.Join(controlErr, err)
		}}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "GET /long HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", addr); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// readAll reads the answers to their ends.
func (r *readers) readAll(conns []*bufio.Reader) error {
	want := staticContent(r.size)
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	turns := make(chan struct{}, 32)
	for n, reader := range conns {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				errs[n] = fmt.Errorf("reader %d: %w", n, err)
				return
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || string(body) != string(want) {
				errs[n] = fmt.Errorf("reader %d: status %s, %d bytes, %w", n, response.Status, len(body), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// heldBytes is the memory of a server: resident, and in memfds, which are counted once.
type heldBytes struct{ rss, memfds int64 }

func (s *server) heldBytes() (h heldBytes, err error) {
	pids, err := proc.tree(s.roots()...)
	if err != nil {
		return h, err
	}
	all, err := proc.holdings(pids...)
	if err != nil {
		return h, err
	}
	h.rss = all.rss
	seen := map[uint64]bool{}
	for _, pid := range pids {
		files, err := filepath.Glob(proc.path(pid, "fd/*"))
		if err != nil {
			return h, err
		}
		for _, file := range files {
			var st syscall.Stat_t
			name, err := os.Readlink(file)
			if err != nil || !strings.HasPrefix(name, "/memfd:") || syscall.Stat(file, &st) != nil || seen[st.Ino] {
				continue
			}
			seen[st.Ino] = true
			h.memfds += st.Blocks * 512
		}
	}
	return h, nil
}
