package static_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// The test measures from the first byte of a request to the last byte of the file, over a
// real socket.
func TestAFileBySocketAllocatesNothing(t *testing.T) {
	files := map[string]string{"small.css": strings.Repeat("a", 1000), "middle.css": strings.Repeat("b", 20_000), "large.css": strings.Repeat("c", 200_000)}
	s := start(t, folder(t, files), "open_file_cache max=10; server { listen 127.0.0.1:8000; keepalive_requests 1000000; root ROOT; }")
	for name, content := range files {
		nc := s.Dial("127.0.0.1:8000")
		nc.SetDeadline(time.Time{})
		request := []byte("GET /" + name + " HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
		answer := make([]byte, len(content)+4096)
		length := 0 // of the whole answer
		once := func() {
			nc.Write(request)
			for n := 0; n < length || length == 0; {
				m, err := nc.Read(answer[n:])
				if err != nil {
					t.Fatal(err)
				}
				n += m
				if head := bytes.Index(answer[:n], []byte("\r\n\r\n")); length == 0 && head > 0 {
					length = head + 4 + len(content)
				}
			}
		}
		for range 50 {
			once()
		}
		if !bytes.HasSuffix(answer[:length], []byte(content)) {
			t.Errorf("%s: another answer: %.300q; want %q at its end", name, answer, []byte(content))
		}
		if n := testing.AllocsPerRun(500, once); n > mostAllocations {
			t.Errorf("%s: %.2f allocations a request; want at most %d", name, n, mostAllocations)
		}
		nc.Close()
	}
}
