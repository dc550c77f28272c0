package pool

import "alicorn/proxy/upstream"

// Head is the head of a worker's response. It does not alias a frame, so several responses can
// share it.
type Head struct {
	upstream.Head
	File int64 // the size of the file that is the body, in bytes; -1 without one
	Size int64 // the size of the encoded head, in bytes
}

// Bounds of heads.
const (
	maxHeads = 256  // how many are remembered
	headSize = 1024 // the size of the longest that is remembered, encoded, in bytes
)

// heads remembers heads by their encoding, as most applications answer with few different
// ones. One goroutine at a time may use it.
type heads map[string]*Head

// parse returns the head that data encodes. If it is not remembered, decode decodes it.
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
