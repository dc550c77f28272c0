//go:build !linux

package http1

import "alicorn/proxy"

// fileSend is needed where the kernel sends files.
type fileSend struct{}

// kernelSend copies: the system's sendfile differs, and this platform is for
// development.
func (c *conn) kernelSend(f proxy.File, off, n int64) error {
	if c.left >= 0 {
		c.left += n
	}
	return c.copyFile(f, off, n)
}
