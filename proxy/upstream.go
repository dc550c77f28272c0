package proxy

import (
	"strconv"
	"time"
)

// Upstream describes the app or the servers that made the content, for variables and logs.
type Upstream struct {
	App    string        // the app's name; "" if no app was asked
	Worker string        // the worker that answered: $app_worker
	Queue  time.Duration // the wait for a worker: $app_queue_time
	Time   time.Duration // from dispatch until the response had come: $app_time
	// Key and Number give the $request_id that the worker has written to its log. Key is
	// nil if no worker has answered.
	Key    *RequestKey
	Number uint32

	// At knows the URL of the request at the peer that was asked last, for the error log;
	// nil if no peer was asked.
	At interface {
		// AppendURL appends the URL, or nothing while no peer was chosen.
		AppendURL(dst []byte) []byte
	}

	tries []Try // in order
	apart bool  // the next try begins another upstream
}

// Try is one attempt to get an answer from a peer. The variables $upstream_addr and its
// like list one item for each Try, as in nginx.
type Try struct {
	Peer     string        // a worker, or a server's address
	Status   int           // of the answer or of the failure; 0: there is none
	Queue    time.Duration // in the queue until a peer had room for the request; -1: it did not wait
	Connect  time.Duration // until the request was given to the peer; -1: it never was
	Header   time.Duration // until the answer's head had come; -1: it never has
	Response time.Duration // until the whole answer had come; -1: it never has
	Sent     int64         // bytes sent to the peer
	Received int64         // bytes received from the peer
	Length   int64         // bytes of the answer's body

	apart bool // the first try of another upstream
}

// Begin makes the next try the first of another upstream, after an internal redirect.
func (u *Upstream) Begin() { u.apart = len(u.tries) > 0 }

// Try adds a try at peer. The result is valid until the next call.
func (u *Upstream) Try(peer string) *Try {
	u.tries = append(u.tries, Try{Peer: peer, Queue: -1, Connect: -1, Header: -1, Response: -1, apart: u.apart})
	u.apart = false
	return u.Last()
}

// Last returns the last try; nil if there is none.
func (u *Upstream) Last() *Try {
	if len(u.tries) == 0 {
		return nil
	}
	return &u.tries[len(u.tries)-1]
}

// upstreamVariables are lists with an item for each try. ", " separates tries, " : "
// separates upstreams.
func upstreamVariables() []Variable {
	return []Variable{
		tryVariable("addr", func(t *Try, dst []byte) []byte { return append(dst, t.Peer...) }),
		tryVariable("status", func(t *Try, dst []byte) []byte {
			if t.Status == 0 {
				return append(dst, '-')
			}
			return strconv.AppendInt(dst, int64(t.Status), 10)
		}),
		tryVariable("queue_time", func(t *Try, dst []byte) []byte { return appendTime(dst, t.Queue) }),
		tryVariable("connect_time", func(t *Try, dst []byte) []byte { return appendTime(dst, t.Connect) }),
		tryVariable("header_time", func(t *Try, dst []byte) []byte { return appendTime(dst, t.Header) }),
		tryVariable("response_time", func(t *Try, dst []byte) []byte { return appendTime(dst, t.Response) }),
		tryVariable("bytes_sent", func(t *Try, dst []byte) []byte { return strconv.AppendInt(dst, t.Sent, 10) }),
		tryVariable("bytes_received", func(t *Try, dst []byte) []byte { return strconv.AppendInt(dst, t.Received, 10) }),
		tryVariable("response_length", func(t *Try, dst []byte) []byte { return strconv.AppendInt(dst, t.Length, 10) }),
	}
}

func tryVariable(name string, add func(t *Try, dst []byte) []byte) Variable {
	return Variable{Name: "upstream_" + name, Get: func(x *Exchange, dst []byte) ([]byte, bool) {
		tries := x.Upstream.tries
		for i := range tries {
			switch {
			case tries[i].apart:
				dst = append(dst, " : "...)
			case i > 0:
				dst = append(dst, ", "...)
			}
			dst = add(&tries[i], dst)
		}
		return dst, len(tries) > 0
	}}
}

// appendTime appends d in seconds, "-" if d is negative: not known.
func appendTime(dst []byte, d time.Duration) []byte {
	if d < 0 {
		return append(dst, '-')
	}
	return AppendMillis(dst, d)
}
