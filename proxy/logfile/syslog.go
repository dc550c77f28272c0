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
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

// syslog sends lines as RFC 3164 datagrams, as nginx's syslog: does. A server
// that cannot be reached loses lines; it is tried again once a second.
type syslog struct {
	network, address string
	priority         int
	header           string // "HOST TAG"

	mu    sync.Mutex
	conn  net.Conn
	retry time.Time
	err   error // why there is no connection
	out   []byte
	losses
}

var facilities = []string{"kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp",
	"ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

var severities = []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

func newSyslog(dest string) (*syslog, error) {
	s := &syslog{losses: losses{sum: Losses{Path: dest}}}
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
		return nil, fmt.Errorf("no syslog server in %q; write syslog:server=ADDRESS", dest)
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

// Write sends each line as a message.
func (s *syslog) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil && !s.dial() {
		s.failed(p, s.err)
		return len(p), nil
	}
	full := false
	for line := range strings.SplitSeq(strings.TrimSuffix(string(p), "\n"), "\n") {
		s.out = fmt.Appendf(s.out[:0], "<%d>%s %s: %s", s.priority, time.Now().Format(time.Stamp), s.header, line)
		err := sendNow(s.conn, s.out)
		if errors.Is(err, unix.EAGAIN) {
			s.failed([]byte(line+"\n"), err)
			full = true
			continue
		}
		if err != nil {
			s.conn.Close()
			s.conn = nil
			s.failed(p, err)
			return len(p), nil
		}
	}
	if !full {
		s.worked()
	}
	return len(p), nil
}

// sendNow sends p as one message without waiting: unix.EAGAIN where the reader has
// no room for it, which then misses it. Requests do not wait for their log.
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

func (s *syslog) dial() bool {
	if time.Now().Before(s.retry) {
		return false
	}
	conn, err := net.DialTimeout(s.network, s.address, time.Second)
	if err != nil {
		s.retry, s.err = time.Now().Add(time.Second), err
		return false
	}
	s.conn = conn
	return true
}

// Reopen connects again with the next line.
func (s *syslog) Reopen(config.Host) error {
	s.Close()
	return nil
}

// Close ends the connection; a later line makes a new one.
func (s *syslog) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	return nil
}
