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

// feedRecords takes the framing out of what was read. What the application has written to
// its standard error is kept for the log.
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
	mu   sync.Mutex
	text []byte
}

// mostComplaints bounds what waits to be logged.
const mostComplaints = 8 << 10

func (c *complaints) add(text []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, text[:min(len(text), mostComplaints-len(c.text))]...)
}

func (c *complaints) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := string(bytes.TrimRight(c.text, "\r\n. "))
	c.text = c.text[:0]
	return text
}

// logComplaints logs what the application has written to its standard error, in nginx's
// words. It reports whether fastcgi_catch_stderr has a text that is in it.
func (p *pass) logComplaints(x *proxy.Exchange, where string) (caught bool) {
	if !p.h.protocol.records {
		return false
	}
	text := p.complaints.take()
	if text == "" {
		return false
	}
	x.Log(proxy.LevelError, "FastCGI sent in stderr: %q %s", text, where)
	return slices.ContainsFunc(p.h.gateway.catch.Items(), func(c string) bool { return strings.Contains(text, c) })
}
