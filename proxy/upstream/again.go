package upstream

import (
	"io"

	"alicorn/proxy"
)

// errBodySent is returned to a handler that reads a body after a Feed has sent parts of it.
var errBodySent = &proxy.Fail{Status: 500, Level: proxy.LevelError, Reason: "cannot read the request body again: it was passed on while it came"}

// lost reads a body that cannot be read again.
type lost struct{ why error }

// Read returns why.
func (l lost) Read([]byte) (int, error) { return 0, l.why }

// Close does nothing.
func (l lost) Close() error { return nil }

// Again returns a reader of the complete body b, from its beginning. Its Close calls done.
func (b *Body) Again(done func()) io.ReadCloser { return &again{body: b, done: done} }

// again reads a body. It does not move the position of the file, which others may read.
type again struct {
	body *Body
	at   int64
	done func()
}

// Read implements io.Reader.
func (a *again) Read(p []byte) (n int, err error) {
	b := a.body
	if a.at >= b.Length {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	switch p = p[:min(int64(len(p)), b.Length-a.at)]; {
	case b.Shared != nil:
		n = copy(p, b.Shared[a.at:])
	case b.File != nil:
		if n, err = b.File.ReadAt(p, a.at); err == io.EOF {
			err = proxy.ErrFileShrank
		}
	default:
		n = copy(p, b.Inline[a.at:])
	}
	if a.at += int64(n); n > 0 {
		err = nil
	}
	return n, err
}

// Close implements io.Closer.
func (a *again) Close() error {
	a.done()
	return nil
}
