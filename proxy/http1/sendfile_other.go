//go:build !linux

package http1

import "alicorn/proxy"

// fileSend is empty, as the kernel sends no files here.
type fileSend struct{}

// kernelSend copies the file: this system's sendfile differs from Linux's, and the system
// is for development only.
func (c *conn) kernelSend(f proxy.File, off, n int64) error {
	if c.framing == byLength {
		c.left += n // copyFile counts it
	}
	return c.copyFile(f, off, n)
}
