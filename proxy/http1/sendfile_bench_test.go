package http1_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"alicorn/proxy"
)

// BenchmarkFile sends files of the sizes for which copyLimit was chosen.
func BenchmarkFile(b *testing.B) {
	for _, size := range []int64{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			name := filepath.Join(b.TempDir(), "data")
			if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
				b.Fatal(err)
			}
			f, err := os.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			s := serve(b, "keepalive_requests 1000000000;", func(x *proxy.Exchange) error {
				x.Res.Status, x.Res.Length = 200, size
				if err := x.Res.Send(); err != nil {
					return err
				}
				if err := x.Res.SendFile(f, 0, size); err != nil {
					return err
				}
				return x.Res.Finish()
			})
			nc := s.Dial("127.0.0.1:8000")
			defer nc.Close()
			io.WriteString(nc, get+"\r\n")
			buf := make([]byte, 256<<10)
			first, err := io.ReadAtLeast(nc, buf, 200)
			if err != nil {
				b.Fatal(err)
			}
			head := int64(0)
			for i := range first - 3 {
				if string(buf[i:i+4]) == "\r\n\r\n" {
					head = int64(i) + 4
					break
				}
			}
			drop := func(n int64) {
				for n > 0 {
					m, err := nc.Read(buf[:min(int64(len(buf)), n)])
					if err != nil {
						b.Fatal(err)
					}
					n -= int64(m)
				}
			}
			drop(head + size - int64(first))
			b.SetBytes(size)
			for b.Loop() {
				io.WriteString(nc, get+"\r\n")
				drop(head + size)
			}
		})
	}
}
