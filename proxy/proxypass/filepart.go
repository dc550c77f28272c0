package proxypass

import (
	"io"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// filePart sends the file of a request's body in parts.
type filePart struct {
	buffer *[]byte
	rest   []byte // the part in buffer, with its framing, that is not sent yet
	read   int64  // bytes that were read of the file
	sent   int64  // bytes that were sent, with the framing
}

// next reads the next part of the file, with its framing. Not all of the file was read.
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

// advance counts n more bytes as sent.
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
