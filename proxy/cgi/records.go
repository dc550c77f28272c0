package cgi

import (
	"errors"
	"fmt"
)

// Records removes the records of FastCGI from an answer, whose bytes come in pieces. The
// zero value is ready for an answer.
type Records struct {
	head    [recordHead]byte
	got     int // bytes in head
	left    int // bytes of the record's content that are still to come
	padding int // the same of its padding
	state   recordState
	begun   bool  // the head of a record was complete
	closed  bool  // stdout has ended: an empty record
	late    bool  // stdout has gone on after its end
	surplus bool  // bytes have come after the end of the request
	err     error // of Feed

	// Stderr is what the application has written to its standard error. The caller takes
	// it, and empties it, after each Feed.
	Stderr []byte
}

type recordState uint8

const (
	inHead recordState = iota
	inContent
	inPadding
	ended
)

// Errors of Feed are noun phrases, which follow "upstream sent".
var (
	errHTTP    = errors.New("an HTTP answer: it speaks HTTP, use proxy_pass")
	errRequest = errors.New("a FastCGI record of another request")
)

// Ended reports whether the request has ended.
func (r *Records) Ended() bool { return r.state == ended }

// Clean reports whether the request has ended and nothing has come after an end. Then the
// connection may have another request.
func (r *Records) Clean() bool { return r.state == ended && !r.surplus && !r.late }

// Late reports whether bytes of stdout have come after its end. Feed leaves them out.
func (r *Records) Late() bool { return r.late }

// Feed removes the framing from data, in place, and returns the bytes of the answer, which
// lie in data. After an error all further calls return it.
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

// begin reads the head of a record once it is complete. It returns errors as early as
// possible.
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
	if h[1] == stdout {
		r.late = r.late || r.closed && r.left > 0
		r.closed = r.closed || r.left == 0
	}
	return nil
}

// content handles part, which is bytes of a record's content. It appends those of the answer
// to out.
func (r *Records) content(out, part []byte) []byte {
	r.left -= len(part)
	switch r.head[1] {
	case stdout:
		if r.closed {
			return out
		}
		return append(out, part...)
	case stderr:
		r.Stderr = append(r.Stderr, part...)
	}
	return out
}

// next sets the state after a part of a record that is complete.
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
