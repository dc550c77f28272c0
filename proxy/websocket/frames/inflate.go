package frames

import (
	"compress/flate"
	"errors"
	"io"
	"iter"
	"sync"
)

// Sizes of an inflater's buffers.
const (
	packedBuffer = 4 << 10
	plainBuffer  = 16 << 10
)

// inflater inflates one compressed message. The decoder runs as a coroutine, which pauses
// when out is full, when it needs input, and at the end.
type inflater struct {
	decoder io.ReadCloser // also a flate.Resetter
	in      [packedBuffer]byte
	out     [plainBuffer]byte

	input  []byte // bytes that the decoder has not read yet
	ending bool   // input is from messageEnd
	fresh  bool   // the decoder has read nothing since start
	filled int    // how many bytes of out the decoder has written
	given  int    // how many bytes of out take has returned
	why    pause  // why the coroutine has paused
	window []byte // the last bytes of this message and those before
	most   int    // how many bytes the window keeps

	resume  func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	stopped bool
}

// pause is why the coroutine has paused.
type pause uint8

const (
	hungry   pause = iota // it needs input
	full                  // out is full
	complete              // the message has ended
	corrupt               // the message is not compressed as RFC 1951 says
)

// messageEnd is appended to a message for the decoder: the marker that RFC 7692 section
// 7.2.1 removes, and an empty last block.
const messageEnd = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

var inflaters = sync.Pool{New: func() any {
	z := &inflater{}
	z.decoder = flate.NewReader(z)
	return z
}}

var (
	// errStopped ends the decoder if the message is given up.
	errStopped = errors.New("the message was given up")
	// errNoBlock ends the decoder if the message ends where a stream may begin.
	errNoBlock = errors.New("no block follows")
)

// takeInflater returns an inflater for a message. window has the last bytes of the messages
// before; most bounds it.
func takeInflater(window []byte, most int) *inflater {
	z := inflaters.Get().(*inflater)
	z.window, z.most = window, most
	z.resume, z.stop = iter.Pull(z.inflate)
	return z
}

// release ends the coroutine, wherever it is.
func (z *inflater) release() {
	z.stop()
	z.input, z.window, z.resume, z.stop, z.yield = nil, nil, nil, nil, nil
	z.ending, z.stopped, z.filled, z.given, z.why = false, false, 0, 0, hungry
	inflaters.Put(z)
}

// inflate is the coroutine.
func (z *inflater) inflate(yield func(struct{}) bool) {
	z.yield = yield
	z.start()
	for !z.stopped {
		if z.given == z.filled {
			z.given, z.filled = 0, 0
		}
		n, err := z.decoder.Read(z.out[z.filled:]) // it may pause inside
		z.filled += n
		switch {
		case z.stopped:
		case err == io.EOF && z.ending, err == errNoBlock:
			z.pause(complete)
		case err == io.EOF: // a message may have several streams
			z.start()
		case err != nil:
			z.pause(corrupt)
		case z.filled == len(z.out):
			z.pause(full)
		}
	}
}

// start begins a stream.
func (z *inflater) start() {
	z.fresh = true
	z.decoder.(flate.Resetter).Reset(z, z.window)
}

// pause returns when the coroutine is resumed or stopped.
func (z *inflater) pause(why pause) {
	z.why = why
	z.stopped = !z.yield(struct{}{})
}

// await pauses until there is input.
func (z *inflater) await() error {
	for len(z.input) == 0 && !z.stopped && !z.ending {
		z.pause(hungry)
	}
	switch {
	case z.stopped:
		return errStopped
	case z.ending && z.fresh:
		return errNoBlock
	case len(z.input) == 0:
		return io.EOF
	}
	z.fresh = false
	return nil
}

// ReadByte implements io.ByteReader for the decoder.
func (z *inflater) ReadByte() (byte, error) {
	if err := z.await(); err != nil {
		return 0, err
	}
	b := z.input[0]
	z.input = z.input[1:]
	return b, nil
}

// Read implements io.Reader for the decoder.
func (z *inflater) Read(p []byte) (int, error) {
	if err := z.await(); err != nil {
		return 0, err
	}
	n := copy(p, z.input)
	z.input = z.input[n:]
	return n, nil
}

// take returns at most room bytes of output, and adds them to the window.
func (z *inflater) take(room int) []byte {
	out := z.out[z.given:min(z.filled, z.given+room)]
	z.given += len(out)
	z.window = slide(z.window, out, z.most)
	return out
}

// slide returns the last most bytes of window and p together. It reuses the memory of
// window if that is large enough.
func slide(window, p []byte, most int) []byte {
	if len(p) >= most {
		window, p = window[:0], p[len(p)-most:]
	} else if over := len(window) + len(p) - most; over > 0 {
		window = window[:copy(window, window[over:])]
	}
	if need := len(window) + len(p); need > cap(window) {
		window = append(make([]byte, 0, min(most, max(need, 2*cap(window)))), window...)
	}
	return append(window, p...)
}

// readPacked is readData for a compressed message.
func (r *Reader) readPacked(p []byte, room int) (n int, e Event, done bool, fault *Fault) {
	if r.inflater == nil {
		most := 0
		if r.deflate.ClientTakesOver {
			most = 1 << r.deflate.ClientBits
		}
		r.inflater = takeInflater(r.window, most)
	}
	for z := r.inflater; ; z.resume() {
		if z.why == hungry {
			c, fed := r.feed(p[n:])
			if n += c; fed {
				continue
			}
		}
		switch {
		case z.why == corrupt:
			return n, e, false, &Fault{InvalidPayload, "invalid compressed data"}
		case z.given < z.filled || z.why == complete:
			e, fault = r.plain(room)
			return n, e, true, fault
		case z.why == hungry && r.left == 0:
			r.state = inHead
			return n, e, false, nil
		case z.why == hungry:
			return n, e, true, nil
		}
	}
}

// feed gives the decoder bytes of p, or messageEnd. fed is false if there are none.
func (r *Reader) feed(p []byte) (n int, fed bool) {
	z := r.inflater
	switch {
	case r.left > 0:
		n = copy(z.in[:], p[:min(int64(len(p)), r.left)])
		r.key = unmask(z.in[:n], r.key)
		r.left -= int64(n)
		r.packed += int64(n)
		z.input = z.in[:n]
		return n, n > 0
	case r.fin && !z.ending:
		z.input, z.ending = z.in[:copy(z.in[:], messageEnd)], true
		return 0, true
	}
	return 0, false
}

// plain returns a part of at most room inflated bytes.
func (r *Reader) plain(room int) (Event, *Fault) {
	z := r.inflater
	if room < 0 || room == 0 && z.given < z.filled {
		return Event{Kind: NeedRoom}, nil
	}
	out := z.take(room)
	last := z.why == complete && z.given == z.filled
	e, fault := r.part(out, last)
	if last {
		r.state, r.inflated = inHead, true
	}
	return e, fault
}

// endInflate gives the inflater back, if there is one, and keeps its window.
func (r *Reader) endInflate() {
	if z := r.inflater; z != nil {
		r.window = z.window
		z.release()
		r.inflater, r.inflated = nil, false
	}
}
