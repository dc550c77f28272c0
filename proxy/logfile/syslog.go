package logfile

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

// syslog sends lines as datagrams of RFC 3164, as nginx's syslog: does. While it cannot reach
// the server, lines are lost, and syslog tries again once a second. The goroutine that
// delivers the lines looks up the server's name.
type syslog struct {
	network, address string
	priority         int
	header           string // "HOST TAG"

	dial  func(network, address string) (net.Conn, error)
	relay relay
	stale atomic.Bool // the next line gets a new connection

	// Only deliver uses these.
	retry time.Time // when to connect again
	err   error     // why there is no connection
	out   []byte

	mu     sync.Mutex
	conn   net.Conn
	closed bool
	losses
}

var facilities = []string{"kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp",
	"ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

var severities = []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

func newSyslog(dest string) (*syslog, error) {
	s := &syslog{losses: losses{sum: Losses{Path: dest}}}
	s.relay = relay{deliver: s.deliver, lost: s.failed}
	s.dial = (&net.Dialer{Timeout: time.Second}).Dial
	facility, severity, tag, host := 23, 6, "alicorn", hostname()
	for param := range strings.SplitSeq(strings.TrimPrefix(dest, "syslog:"), ",") {
		name, value, _ := strings.Cut(param, "=")
		switch name {
		case "server":
			s.network, s.address = syslogAddress(value)
		case "facility":
			facility = slices.Index(facilities, value)
		case "severity":
			severity = slices.Index(severities, value)
		case "tag":
			tag = value
		case "nohostname":
			host = ""
		default:
			return nil, fmt.Errorf("unknown syslog parameter %q", param)
		}
		if facility < 0 || severity < 0 {
			return nil, fmt.Errorf("unknown syslog %s %q", name, value)
		}
	}
	if s.address == "" {
		return nil, fmt.Errorf("%q names no syslog server; write syslog:server=ADDRESS", dest)
	}
	s.priority = facility*8 + severity
	s.header = strings.TrimPrefix(host+" "+tag, " ")
	return s, nil
}

func syslogAddress(value string) (network, address string) {
	if path, ok := strings.CutPrefix(value, "unix:"); ok {
		return "unixgram", path
	}
	if _, _, err := net.SplitHostPort(value); err != nil {
		value = net.JoinHostPort(strings.Trim(value, "[]"), "514")
	}
	return "udp", value
}

func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return h
}

// Write takes lines. Each is sent as one message.
func (s *syslog) Write(p []byte) (int, error) {
	s.relay.add(p)
	return len(p), nil
}

// deliver sends each line as a message.
func (s *syslog) deliver(p []byte) {
	conn, err := s.connect()
	if err != nil {
		s.failed(p, err)
		return
	}
	full := false
	for line := range strings.SplitSeq(strings.TrimSuffix(string(p), "\n"), "\n") {
		s.out = fmt.Appendf(s.out[:0], "<%d>%s %s: %s", s.priority, time.Now().Format(time.Stamp), s.header, line)
		err := sendNow(conn, s.out)
		if errors.Is(err, unix.EAGAIN) {
			s.failed([]byte(line+"\n"), err)
			full = true
			continue
		}
		if err != nil {
			s.stale.Store(true)
			s.failed(p, err)
			return
		}
	}
	if !full {
		s.worked()
	}
}

// sendNow sends p as one message without waiting, so that later lines do not wait either. It
// returns unix.EAGAIN, and p is lost, if the reader has no room.
func sendNow(c net.Conn, p []byte) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	sendErr := error(nil)
	err = raw.Write(func(fd uintptr) bool {
		_, sendErr = unix.Write(int(fd), p)
		return true
	})
	return cmp.Or(err, sendErr)
}

// connect returns the connection. If there is none, or it is stale, connect makes a new one. It
// may wait for the server's name.
func (s *syslog) connect() (net.Conn, error) {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if stale := s.stale.Swap(false); conn != nil && !stale {
		return conn, nil
	}
	if time.Now().Before(s.retry) {
		return nil, s.err
	}
	fresh, err := s.dial(s.network, s.address)
	s.err = err
	if err != nil {
		s.retry = time.Now().Add(time.Second)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	s.conn = nil
	switch {
	case err != nil:
		return nil, err
	case s.closed:
		fresh.Close()
		return nil, net.ErrClosed
	}
	s.conn = fresh
	return fresh, nil
}

// Reopen makes the next line connect again.
func (s *syslog) Reopen(config.Host) error {
	s.stale.Store(true)
	return nil
}

// ReopenMoved does nothing: no other can take the place of the socket that is open.
func (s *syslog) ReopenMoved(config.Host) error { return nil }

// Flush waits for the lines to be delivered, but not longer than lastChance.
func (s *syslog) Flush() { s.relay.flush() }

// Close sends the lines that wait, within lastChance, and ends the connection.
func (s *syslog) Close() error {
	s.Flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	return nil
}
