package proxypass

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"

	"alicorn/proxy"
)

// receiveRecords is receive for FastCGI.
func (p *pass) receiveRecords(x *proxy.Exchange, where string) (int, error) {
	for !p.records.Ended() {
		n, err := p.receiveBytes(x, where)
		if err == io.EOF {
			return 0, p.brokenOff(where)
		}
		if err != nil {
			return 0, err
		}
		out, err := p.feedRecords((*p.buf)[len(p.data):][:n])
		if err != nil {
			return 0, invalidRecord(err, where)
		}
		if p.logComplaints(x, where) && where == whileReadingHead {
			return 0, caughtStderr()
		}
		if len(out) > 0 {
			return len(out), nil
		}
	}
	return 0, io.EOF
}

// feedRecords removes the framing from data, and adds the application's standard error to
// complaints.
func (p *pass) feedRecords(data []byte) ([]byte, error) {
	out, err := p.records.Feed(data)
	if len(p.records.Stderr) > 0 {
		p.complaints.add(p.records.Stderr)
		p.records.Stderr = p.records.Stderr[:0]
	}
	return out, err
}

// complaints are what an application has written to its standard error. A loop may add to
// them while the Exchange, which alone may log, takes them.
type complaints struct {
	mu      sync.Mutex
	text    []byte // not logged yet
	dropped int64  // bytes that the log leaves out

	logged int // bytes; the Exchange's
}

const (
	maxComplaints = blockSize // bytes that wait to be logged: all of one read
	maxLine       = 4 << 10   // bytes in one line of the log
	maxLogged     = 64 << 10  // bytes that are logged for a request
)

func (c *complaints) add(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(text), maxComplaints-len(c.text))
	c.text = append(c.text, text[:n]...)
	c.dropped += int64(len(text) - n)
}

// take returns the text that is not logged yet, and how many bytes of it the log gets.
func (c *complaints) take() (text string, loggable int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text = string(bytes.TrimRight(c.text, "\r\n. "))
	c.text = c.text[:0]
	loggable = min(len(text), maxLine, maxLogged-c.logged)
	c.logged += loggable
	c.dropped += int64(len(text) - loggable)
	return text, loggable
}

// takeDropped returns how many bytes were not logged.
func (c *complaints) takeDropped() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, c.dropped = c.dropped, 0
	return n
}

// logComplaints logs what the application has written to its standard error, as nginx does, up
// to maxLogged. caught says that it contains a text of fastcgi_catch_stderr.
func (p *pass) logComplaints(x *proxy.Exchange, where string) (caught bool) {
	if !p.h.protocol.records {
		return false
	}
	text, loggable := p.complaints.take()
	if text == "" {
		return false
	}
	if loggable > 0 {
		x.Log(proxy.LevelError, "FastCGI sent in stderr: %q %s", text[:loggable], where)
	}
	return slices.ContainsFunc(p.h.gateway.catch.Items(), func(c string) bool { return strings.Contains(text, c) })
}

// logDropped logs how much of the application's standard error the log leaves out.
func (p *pass) logDropped(x *proxy.Exchange) {
	if n := p.complaints.takeDropped(); n > 0 {
		x.Log(proxy.LevelError, "FastCGI sent %d more bytes in stderr, which are not logged", n)
	}
}
