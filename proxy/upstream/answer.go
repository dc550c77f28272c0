package upstream

import (
	"fmt"

	"alicorn/proxy"
)

// Reply sends x's client an answer whose body has come completely. by names the upstream in
// errors. A body longer than Content-Length is cut, as in gunicorn. For a shorter one Reply
// sends nothing and returns an error with status 502.
func (h *Head) Reply(x *proxy.Exchange, body []byte, by string) error {
	n, err := h.send(x, int64(len(body)), by)
	if err != nil {
		return err
	}
	if _, err := x.Res.Write(body[:n]); err != nil {
		return err
	}
	return x.Res.Finish()
}

// ReplyFile is Reply for a body that is the size bytes of f from offset.
func (h *Head) ReplyFile(x *proxy.Exchange, f proxy.File, offset, size int64, by string) error {
	n, err := h.send(x, size, by)
	if err != nil {
		return err
	}
	if err := x.Res.SendFile(f, offset, n); err != nil {
		return err
	}
	return x.Res.Finish()
}

// send sends the head of an answer with a body of size bytes. It returns how many of them
// the client gets.
func (h *Head) send(x *proxy.Exchange, size int64, by string) (n int64, err error) {
	h.Apply(x, size)
	if l := h.Length; l >= 0 && l != size && !h.bodyless(x) {
		if l > size {
			return 0, &proxy.Fail{Status: 502, Level: proxy.LevelError, Reason: fmt.Sprintf("%s gave %d bytes with a Content-Length of %d", by, size, l)}
		}
		size = l
	}
	return size, x.Res.Send()
}

// bodyless reports whether the client gets no body, whatever Content-Length says.
func (h *Head) bodyless(x *proxy.Exchange) bool {
	return x.Req.Method == "HEAD" || h.Status == 204 || h.Status == 304
}

// Source sends the blocks of an answer.
type Source interface {
	// Name returns the name of the upstream for errors.
	Name() string
	// Repay lets the upstream send n more bytes, which Put had withheld.
	Repay(n int64)
	// Free takes back the buffer of a block.
	Free(buffer *[]byte)
}

// Give sends x's client the blocks that have come, after the caller has sent the head h.
// ended says that the client has the complete body: the caller finishes the response.
// Otherwise the caller waits for more, awaiting or suspended, and calls Give again. A body
// longer than Content-Length is cut. A shorter one is an error, and so is the error that
// End was given. After an error the caller returns it, and does not call Give again.
func (w *WriteBehind) Give(x *proxy.Exchange, h *Head, s Source) (ended bool, err error) {
	for {
		b, ok, ended, back := w.Next()
		if back > 0 {
			s.Repay(back)
		}
		switch {
		case ok:
			room, wait := x.Res.Room()
			if w.keep(&b, room); room == 0 {
				return false, x.Res.Later(wait)
			}
			if err := w.give(x, h, s, &b); err != nil {
				return false, err
			}
		case !ended:
			return false, x.Res.Flush()
		default:
			err := w.complete(x, h, s)
			return err == nil, err
		}
	}
}

// give sends the client one block. If that fails and the answer has failed, too, give
// returns the error of the answer.
func (w *WriteBehind) give(x *proxy.Exchange, h *Head, s Source, b *Block) error {
	if h.Length >= 0 {
		b.cut(h.Length - w.given)
	}
	w.given += b.Size
	var err error
	if b.File != nil {
		err = x.Res.SendFile(b.File, b.Offset, b.Size)
	} else {
		_, err = x.Res.Write(b.Data)
	}
	if b.Buffer != nil {
		s.Free(b.Buffer)
	}
	if err != nil {
		if broken := w.failure(); broken != nil {
			return broken
		}
	}
	return err
}

// complete returns why an answer that has ended is not complete; nil if it is.
func (w *WriteBehind) complete(x *proxy.Exchange, h *Head, s Source) error {
	if err := w.failure(); err != nil {
		return err
	}
	if n := h.Length; w.given < n && !h.bodyless(x) {
		return fmt.Errorf("%s ended its response after %d of %d bytes", s.Name(), w.given, n)
	}
	return nil
}
