package cgi

import (
	"errors"
	"fmt"
)

// Records takes the records of FastCGI away from an answer, whose bytes come in pieces.
// The zero value is ready.
type Records struct {
	head    [recordHead]byte
	got     int // bytes of head
	left    int // bytes of the record's content
	padding int
	state   recordState
	begun   bool // a record has begun
	surplus bool // something has come behind the end
	err     error

	// Stderr is what the application has written to its standard error, and the caller has
	// not taken yet: 4 KiB at most, the rest is dropped.
	Stderr []byte
}

const mostStderr = 4 << 10

type recordState uint8

const (
	inHead recordState = iota
	inContent
	inPadding
	ended
)

// What an application may send that is no FastCGI; "upstream sent" stands before it.
var (
	errHTTP    = errors.New("an HTTP answer: it speaks HTTP, use proxy_pass")
	errRequest = errors.New("a FastCGI record of another request")
)

// Ended reports that the request has ended.
func (r *Records) Ended() bool { return r.state == ended }

// Clean reports that nothing has come behind the end: another request may follow.
func (r *Records) Clean() bool { return r.state == ended && !r.surplus }

// Feed takes the framing out of data, in place, and returns the bytes of the answer. An
// error lasts.
func (r *Records) Feed(data []byte) (out []byte, err error) {
	out = data[:0]
	for len(data) > 0 && r.err == nil {
		n := 1
		switch r.state {
		case inHead:
			n = copy(r.head[r.got:], data)
			r.got += n
			r.err = r.begin()
		case inContent:
			n = min(r.left, len(data))
			out = r.content(out, data[:n])
		case inPadding:
			n = min(r.padding, len(data))
			r.padding -= n
		case ended:
			r.surplus = true
			return out, nil
		}
		data = data[n:]
		r.next()
	}
	return out, r.err
}

// begin reads the head of a record, once it is there.
func (r *Records) begin() error {
	const http = "HTTP/"
	h := &r.head
	n := min(r.got, len(http))
	switch {
	case !r.begun && string(h[:n]) == http[:n]:
		if n < len(http) {
			return nil
		}
		return errHTTP
	case h[0] != version:
		return fmt.Errorf("unsupported FastCGI protocol version: %d", h[0])
	case r.got < recordHead:
		return nil
	case h[1] != stdout && h[1] != stderr && h[1] != endRequest:
		return fmt.Errorf("unexpected FastCGI record: %d", h[1])
	case h[2] != 0 || h[3] != 1:
		return errRequest
	}
	r.begun, r.got = true, 0
	r.left, r.padding = int(h[4])<<8|int(h[5]), int(h[6])
	r.state = inContent
	return nil
}

// content takes bytes of a record's content.
func (r *Records) content(out, part []byte) []byte {
	r.left -= len(part)
	switch r.head[1] {
	case stdout:
		return append(out, part...)
	case stderr:
		r.Stderr = append(r.Stderr, part[:min(len(part), mostStderr-len(r.Stderr))]...)
	}
	return out
}

// next goes on to what follows a part of a record that has ended.
func (r *Records) next() {
	if r.state == inContent && r.left == 0 {
		r.state = inPadding
	}
	if r.state == inPadding && r.padding == 0 {
		r.state, r.got = inHead, 0
		if r.head[1] == endRequest {
			r.state = ended
		}
	}
}
