package frames

import "encoding/binary"

// Kind is the kind of an Event.
type Kind uint8

// The kinds of events.
const (
	NeedInput Kind = iota // all bytes were read
	NeedRoom              // a Part has come, or may have, and there is no room for it
	Part
	Ping
	Pong
	Close // the last event: bytes after it are ignored
)

// Event is the result of Reader.Next. Data is valid until the next call.
type Event struct {
	Kind Kind
	Data []byte // of a Part, Ping or Pong; for a Close the reason
	// Text and Last are for a Part: the message is text, and it ends here. Only the last
	// Part of a message may be empty.
	Text, Last bool
	Code       uint16 // of a Close; NoStatus if it had none
}

// MaxPart bounds the bytes of a Part.
const MaxPart = 32 << 10

// state is the part of the stream that a Reader reads next.
type state uint8

const (
	inHead    state = iota // the head of a frame
	inControl              // the payload of a control frame
	inData                 // the payload of a frame of a message
	closed                 // nothing: a Close or a Fault has come, or Release was called
)

// Reader reads the frames of a client. One goroutine at a time may use it.
type Reader struct {
	limit   int64 // the largest message, after inflation; 0: no limit
	deflate Deflate
	failed  *Fault // what Next has returned

	state state
	have  int      // how many bytes of head have come
	head  [14]byte // the head of the frame that is being read
	frame
	message
	control  []byte    // the payload of a control frame that comes in pieces
	inflater *inflater // for the message, if it is compressed and has begun
	inflated bool      // the inflater has ended; Data of the last event is its output
	window   []byte    // the bytes to which the next compressed message may refer
}

// frame is the frame that is being read.
type frame struct {
	op   Opcode
	fin  bool
	rsv1 bool
	key  uint32
	left int64 // how many bytes of the payload were not read yet
}

// message is the message that is being read. The zero message is none.
type message struct {
	open       bool // it has begun and not ended
	text       bool
	compressed bool
	size       int64 // how many bytes were returned as parts
	packed     int64 // how many bytes were read, before inflation
	check      textCheck
}

// NewReader returns a Reader for a client that has agreed on d. limit bounds the bytes of a
// message, after inflation; 0 means no limit.
func NewReader(limit int64, d Deflate) *Reader { return &Reader{limit: limit, deflate: d} }

// Release gives back the memory of an unfinished message. After it Next returns no event.
func (r *Reader) Release() {
	r.endInflate()
	r.state = closed
}

// Next reads from p until there is an event. p must begin with the first byte that was not
// read yet. n is how many bytes Next has read; it changes these bytes. room bounds the bytes
// of a Part; if it is negative, not even an empty Part may come. After a fault Next returns
// the same fault again.
func (r *Reader) Next(p []byte, room int) (n int, e Event, fault *Fault) {
	if r.inflated {
		r.endInflate()
	}
	for {
		var used int
		var done bool
		switch {
		case r.failed != nil:
			return n, Event{}, r.failed
		case r.state == inHead:
			used, done, fault = r.readHead(p[n:])
		case r.state == inControl:
			used, e, fault = r.readControl(p[n:])
			done = true
		case r.state == inData:
			used, e, done, fault = r.readData(p[n:], min(room, MaxPart))
		default:
			return len(p), Event{}, nil
		}
		n += used
		if fault != nil {
			r.Release()
			r.failed = fault
			return n, Event{}, fault
		}
		if done {
			return n, e, nil
		}
	}
}

// readHead reads the head of a frame. done says that it needs more bytes.
func (r *Reader) readHead(p []byte) (n int, done bool, fault *Fault) {
	for {
		need := 2
		if r.have >= 2 {
			need += 4
			switch r.head[1] & lengths {
			case length16:
				need += 2
			case length64:
				need += 8
			}
		}
		c := copy(r.head[r.have:need], p[n:])
		n += c
		if r.have += c; r.have < need {
			return n, true, nil
		}
		if need > 2 {
			return n, false, r.beginFrame(need - 4)
		}
		if fault := r.checkFirst(); fault != nil {
			return n, false, fault
		}
	}
}

// checkFirst checks the first two bytes of a head (RFC 6455 sections 5.2, 5.4 and 5.5).
func (r *Reader) checkFirst() *Fault {
	first, second := r.head[0], r.head[1]
	r.op, r.fin, r.rsv1 = Opcode(first&opcodes), first&finBit != 0, first&rsv1Bit != 0
	control := r.op >= CloseFrame
	switch {
	case r.op > Binary && r.op < CloseFrame, r.op > PongFrame:
		return &Fault{ProtocolError, "unknown opcode"}
	case first&rsvBits&^rsv1Bit != 0, r.rsv1 && (!r.deflate.On || control || r.op == Continuation):
		return &Fault{ProtocolError, "unexpected reserved bit"}
	case second&maskBit == 0:
		return &Fault{ProtocolError, "frame without a mask"}
	case control && !r.fin:
		return &Fault{ProtocolError, "fragmented control frame"}
	case control && second&lengths > MaxControl:
		return &Fault{ProtocolError, "control frame too long"}
	case control:
		return nil
	case r.op == Continuation && !r.open:
		return &Fault{ProtocolError, "continuation of no message"}
	case r.op != Continuation && r.open:
		return &Fault{ProtocolError, "new message inside a fragmented one"}
	}
	return nil
}

// beginFrame reads the length and the mask of a head, and begins the frame. at is where the
// mask begins.
func (r *Reader) beginFrame(at int) *Fault {
	r.have = 0
	r.key = binary.LittleEndian.Uint32(r.head[at:])
	r.left = int64(r.head[1] & lengths)
	switch r.left {
	case length16:
		if r.left = int64(binary.BigEndian.Uint16(r.head[2:])); r.left < length16 {
			return &Fault{ProtocolError, "length not in the shortest form"}
		}
	case length64:
		if r.left = int64(binary.BigEndian.Uint64(r.head[2:])); r.left < 0 {
			return &Fault{ProtocolError, "length of 2^63 or more"}
		}
		if r.left <= 0xFFFF {
			return &Fault{ProtocolError, "length not in the shortest form"}
		}
	}
	if r.op >= CloseFrame {
		r.state = inControl
		return nil
	}
	r.state = inData
	if r.op != Continuation {
		r.message = message{open: true, text: r.op == Text, compressed: r.rsv1}
	}
	return r.checkSize()
}

// checkSize checks the size of the message with the frame that begins.
func (r *Reader) checkSize() *Fault {
	switch {
	case r.limit == 0:
	case !r.compressed && r.left > r.limit-r.size,
		r.compressed && r.left-r.limit/512-1024 > r.limit-r.packed: // stored blocks are larger than their contents
		return &Fault{TooBig, "message too big"}
	}
	return nil
}

// readControl reads the payload of a control frame. If it comes in one piece, nothing is
// copied.
func (r *Reader) readControl(p []byte) (n int, e Event, fault *Fault) {
	n = int(min(r.left, int64(len(p))))
	data := p[:n:n]
	r.key = unmask(data, r.key)
	if r.left -= int64(n); r.left > 0 || len(r.control) > 0 {
		r.control = append(r.control, data...)
		data = r.control
	}
	if r.left > 0 {
		return n, Event{}, nil
	}
	r.control, r.state = nil, inHead
	switch r.op {
	case PingFrame:
		return n, Event{Kind: Ping, Data: data}, nil
	case PongFrame:
		return n, Event{Kind: Pong, Data: data}, nil
	}
	e, fault = readClose(data)
	if fault == nil {
		r.Release()
	}
	return n, e, fault
}

// readClose reads the payload of a close (RFC 6455 section 5.5.1).
func readClose(data []byte) (Event, *Fault) {
	e := Event{Kind: Close, Code: NoStatus}
	if len(data) == 0 {
		return e, nil
	}
	if len(data) == 1 {
		return e, &Fault{ProtocolError, "close with half a code"}
	}
	e.Code, e.Data = binary.BigEndian.Uint16(data), data[2:]
	if !ValidCode(e.Code) {
		return e, &Fault{ProtocolError, "close with an invalid code"}
	}
	var check textCheck
	if !check.more(e.Data) || !check.whole() {
		return e, &Fault{InvalidPayload, "close with a reason that is not UTF-8"}
	}
	return e, nil
}

// readData reads the payload of a frame of a message. done says that e is an event.
func (r *Reader) readData(p []byte, room int) (n int, e Event, done bool, fault *Fault) {
	if r.compressed {
		return r.readPacked(p, room)
	}
	ends := r.left == 0
	if ends && !r.fin { // the payload is empty
		r.state = inHead
		return 0, e, false, nil
	}
	if !ends && len(p) == 0 {
		return 0, e, true, nil
	}
	if room < 0 || room == 0 && !ends {
		return 0, Event{Kind: NeedRoom}, true, nil
	}
	n = int(min(r.left, int64(len(p)), int64(room)))
	r.key = unmask(p[:n], r.key)
	if r.left -= int64(n); r.left == 0 {
		r.state = inHead
	}
	e, fault = r.part(p[:n:n], r.left == 0 && r.fin)
	return n, e, true, fault
}

// part returns data as the next part of the message.
func (r *Reader) part(data []byte, last bool) (Event, *Fault) {
	r.size += int64(len(data))
	if r.limit > 0 && r.size > r.limit {
		return Event{}, &Fault{TooBig, "message too big"}
	}
	if r.text && (!r.check.more(data) || last && !r.check.whole()) {
		return Event{}, &Fault{InvalidPayload, "text that is not UTF-8"}
	}
	e := Event{Kind: Part, Data: data, Text: r.text, Last: last}
	if last {
		r.message = message{}
	}
	return e, nil
}
