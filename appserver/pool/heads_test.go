package pool

import (
	"testing"

	"alicorn/appserver/wire/wiretest"
	"alicorn/proxy/upstream"
)

// plainHead decodes each head as that of a 200 without fields, as these tests are about which
// request gets which answer.
func plainHead(text string) (*Head, error) {
	return &Head{Head: upstream.Head{Status: 200, Length: -1}, File: -1, Size: int64(len(text))}, nil
}

func BenchmarkRememberedHead(b *testing.B) {
	data := wiretest.Head("200 OK", "Content-Type", "text/plain", "Content-Length", "13")[4:]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		known := heads{}
		for pb.Next() {
			if _, err := known.parse(data, plainHead); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
