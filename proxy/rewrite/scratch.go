package rewrite

import "sync"

// scratch is memory for a text that is needed only while a condition is evaluated.
type scratch struct{ text []byte }

var scratches = sync.Pool{New: func() any { return &scratch{make([]byte, 0, 256)} }}

func borrow() *scratch { return scratches.Get().(*scratch) }

func (b *scratch) giveBack() {
	b.text = b.text[:0]
	scratches.Put(b)
}
