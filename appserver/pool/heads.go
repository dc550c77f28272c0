package pool

import "alicorn/proxy/upstream"

// Head is a response's head as a worker gave it. Its strings are its own, so
// that it can serve many responses.
type Head struct {
	upstream.Head
	File int64 // bytes of a file that follow; -1 without one
	Size int64 // of what the worker has sent of it
}

const (
	maxHeads = 256  // remembered by a worker's reader
	headSize = 1024 // bytes of the longest that is remembered
)

// heads remembers heads by their encoded bytes: most applications answer
// with few different ones. It is for one goroutine.
type heads map[string]*Head

// parse returns the head that data encodes, as decode has it.
func (m heads) parse(data []byte, decode func(text string) (*Head, error)) (*Head, error) {
	if h := m[string(data)]; h != nil {
		return h, nil
	}
	text := string(data)
	h, err := decode(text)
	if err == nil && len(data) <= headSize {
		if len(m) >= maxHeads {
			clear(m)
		}
		m[text] = h
	}
	return h, err
}
