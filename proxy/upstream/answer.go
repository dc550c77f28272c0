package upstream

import (
	"fmt"

	"alicorn/proxy"
)

// Reply gives x's client an answer whose body is there, whole. by names the
// upstream in errors. A body longer than Content-Length is cut, as in gunicorn; for
// one that is shorter the answer is 502.
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

// ReplyFile is Reply for a body of size bytes of f from offset.
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

// send sends the head of an answer with a body of size bytes. It returns how many of
// them are the client's.
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

// bodyless reports that the answer has no body, whatever its Content-Length.
func (h *Head) bodyless(x *proxy.Exchange) bool {
	return x.Req.Method == "HEAD" || h.Status == 204 || h.Status == 304
}

// Source is who sends the blocks of an answer.
type Source interface {
	// Name names it in errors.
	Name() string
	// Repay lets it send n more bytes, which were withheld.
	Repay(n int64)
	// Free takes back the buffer of a block.
	Free(buffer *[]byte)
}

// Give gives x's client what has come of the answer that h is the head of, and was
// sent. ended says that it has all of it: the caller finishes the response. Else the
// caller waits for more and calls again: awaiting, or suspended. A body longer than
// Content-Length is cut; one that is shorter is an error, as an answer is that End
// was given an error for. After an error the caller returns it, and nothing is given
// any more.
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

// give gives the client one block. The client may have waited for what could not be
// kept for it: then the reason of that counts.
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

// complete returns why the answer that has ended is not complete.
func (w *WriteBehind) complete(x *proxy.Exchange, h *Head, s Source) error {
	if err := w.failure(); err != nil {
		return err
	}
	if n := h.Length; w.given < n && !h.bodyless(x) {
		return fmt.Errorf("%s ended its response after %d of %d bytes", s.Name(), w.given, n)
	}
	return nil
}
