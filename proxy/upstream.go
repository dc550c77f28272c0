package proxy

import (
	"strconv"
	"time"
)

// Upstream is what is known of the content's origin, for variables and logs.
type Upstream struct {
	App    string        // the app's name; "" when no app was asked
	Worker string        // the worker that answered: $app_worker
	Queue  time.Duration // waiting for a worker
	Time   time.Duration // from dispatch until the response was there: $app_time
	// Key and Number make $request_id the one that the worker has named in its
	// log; Key is nil where no worker has answered.
	Key    *RequestKey
	Number uint32

	// URL is the request at the peer that has failed, for the error log; "": none has.
	URL string

	tries []Try // in order
	apart bool  // the next one is another upstream's than those before
}

// Try is what is known of one try to have a request answered: a place in the
// lists that $upstream_addr and the others are, as in nginx. One that has not come
// to its end has no Response.
type Try struct {
	Peer     string        // a worker, or a server's address
	Status   int           // of the answer, or of the failure; 0: none
	Connect  time.Duration // until the peer had time for the request; -1: it never had
	Header   time.Duration // until the head of the answer was there; -1: it never was
	Response time.Duration // until all of the answer was there; -1: it is not
	Sent     int64         // bytes to the peer
	Received int64         // bytes from it
	Length   int64         // bytes of the answer's body

	apart bool
}

// Begin says that another upstream is asked: its tries are set apart from those
// of one that has sent the request on.
func (u *Upstream) Begin() { u.apart = len(u.tries) > 0 }

// Try adds a try at peer. The result is valid until the next.
func (u *Upstream) Try(peer string) *Try {
	u.tries = append(u.tries, Try{Peer: peer, Connect: -1, Header: -1, Response: -1, apart: u.apart})
	u.apart = false
	return u.Last()
}

// Last returns the last try, nil where there is none.
func (u *Upstream) Last() *Try {
	if len(u.tries) == 0 {
		return nil
	}
	return &u.tries[len(u.tries)-1]
}

// reset keeps the memory of the tries.
func (u *Upstream) reset() Upstream { return Upstream{tries: u.tries[:0]} }

// upstreamVariables are lists with a place for each try: ", " stands between those
// of one upstream, " : " between upstreams.
func upstreamVariables() []Variable {
	return []Variable{
		tryVariable("addr", func(t *Try, dst []byte) []byte { return append(dst, t.Peer...) }),
		tryVariable("status", func(t *Try, dst []byte) []byte {
			if t.Status == 0 {
				return append(dst, '-')
			}
			return strconv.AppendInt(dst, int64(t.Status), 10)
		}),
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

// appendTime appends d in seconds, "-" where it is not known.
func appendTime(dst []byte, d time.Duration) []byte {
	if d < 0 {
		return append(dst, '-')
	}
	return AppendMillis(dst, d)
}
