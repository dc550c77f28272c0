package frames

// Writer appends what goes to a client. It is for one goroutine at a time.
type Writer struct {
	deflate  Deflate
	open     bool // a message has begun and not ended
	deflates bool // that message is compressed
	window   []byte
}

// NewWriter returns a Writer for a client that has agreed on d.
func NewWriter(d Deflate) *Writer { return &Writer{deflate: d} }

// minDeflated is the least size of a message for which compression is tried: a smaller
// one gains a few bytes at most.
const minDeflated = 48

// AppendPart appends a part of a message as a frame. last: the message ends with it. All
// parts of a message have the same text. It does not keep part.
func (w *Writer) AppendPart(b, part []byte, text, last bool) []byte {
	op := Continuation
	first := !w.open
	if first {
		if op = Binary; text {
			op = Text
		}
		w.deflates = w.deflate.On && (!last || len(part) >= minDeflated)
	}
	w.open = !last
	head := byte(op)
	if last {
		head |= finBit
	}
	if !w.deflates {
		return append(appendHead(b, head, len(part)), part...)
	}
	if first {
		head |= rsv1Bit
	}
	return w.appendDeflated(b, head, part, last)
}
