package proxypass

import (
	"io"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// filePart is how far the file of a request's body was sent.
type filePart struct {
	buffer *[]byte
	rest   []byte // framed, in buffer, to be sent
	read   int64  // bytes of the file
	sent   int64  // bytes to the peer, those of the framing too
}

// next reads and frames the next part of the file, of which not all was read.
func (f *filePart) next(body *upstream.Body, framing upstream.Framing) ([]byte, error) {
	if f.buffer == nil {
		f.buffer = blocks.Get().(*[]byte)
	}
	b := (*f.buffer)[upstream.FrameRoom : len(*f.buffer)-upstream.FrameRoom]
	b = b[:min(body.Length-f.read, int64(len(b)))]
	if n, err := body.File.ReadAt(b, f.read); n < len(b) && err != nil {
		if err == io.EOF {
			err = proxy.ErrFileShrank
		}
		return nil, err
	}
	f.read += int64(len(b))
	if f.rest = framing.Part(*f.buffer, len(b)); f.read == body.Length {
		f.rest = append(f.rest, framing.End...)
	}
	return f.rest, nil
}

// advance notes that n more bytes were sent.
func (f *filePart) advance(n int) {
	f.rest = f.rest[n:]
	f.sent += int64(n)
}

// release gives the buffer back.
func (f *filePart) release() {
	if f.buffer != nil {
		blocks.Put(f.buffer)
	}
	f.buffer, f.rest = nil, nil
}
