package upstream

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The application that gets the descriptor of a body could fill the disk with it, and change a
// body that another one gets next.
func TestWhoGetsABodyCannotChangeIt(t *testing.T) {
	data, err := Memory([]byte("environ"))
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", 1000)
	for name, f := range map[string]*os.File{
		"environ":   data,
		"in memory": read(t, body, false, 10, 2000, t.TempDir()).File,
		"on disk":   read(t, body, false, 10, 500, t.TempDir()).File,
		"chunked":   read(t, body, true, 10, 500, t.TempDir()).File,
	} {
		defer f.Close()
		if n, err := f.WriteAt([]byte("y"), 0); err == nil {
			t.Errorf("%s: got %d bytes written, want an error", name, n)
		}
		if err := f.Truncate(1 << 20); err == nil {
			t.Errorf("%s: got a longer file, want an error", name)
		}
		st, err := f.Stat()
		if err != nil || st.Size() != 1000 && name != "environ" {
			t.Errorf("%s: got %v, %v; want 1000 bytes", name, st, err)
		}
		if again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0); err == nil && !strings.Contains(name, "disk") && name != "chunked" {
			if _, err := again.WriteAt([]byte("y"), 0); err == nil {
				t.Errorf("%s: got it written through another descriptor, want an error", name)
			}
			again.Close()
		} // that of a file on disk belongs to the front's user, who alone can open it again
	}
}
