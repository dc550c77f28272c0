package h1

import "bytes"

// lines finds the lines of a head whose bytes come in pieces. It looks at each byte once.
type lines struct {
	start int // where the line that next has returned last begins
	end   int // where the line after it begins
	seen  int // how many bytes were searched for the end of that line
}

// next returns the next line of b without its end, CRLF or LF. b has all bytes of the head
// that have come. ok is false if the line is not complete.
func (l *lines) next(b []byte) (line []byte, ok bool) {
	i := bytes.IndexByte(b[l.seen:], '\n')
	if i < 0 {
		l.seen = len(b)
		return nil, false
	}
	l.start, l.end = l.end, l.seen+i+1
	l.seen = l.end
	return trimCR(b[l.start : l.end-1]), true
}

// cutLine returns the first line of a complete head without its end, CRLF or LF, and the
// rest of the head.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	return trimCR(b[:i]), b[i+1:]
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}
