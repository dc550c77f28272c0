package frames

// Writer appends frames for a client. One goroutine at a time may use it.
type Writer struct {
	deflate  Deflate
	open     bool   // a message has begun and not ended
	deflates bool   // that message is compressed
	window   []byte // the dictionary: the last bytes that were compressed
}

// NewWriter returns a Writer for a client that has agreed on d.
func NewWriter(d Deflate) *Writer { return &Writer{deflate: d} }

// minDeflated is the size in bytes from which a message is compressed. A smaller one would
// shrink by a few bytes at most.
const minDeflated = 48

// AppendPart appends a part of a message as a frame. All parts of a message have the same
// text; last is set for the last one. AppendPart does not keep part.
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
