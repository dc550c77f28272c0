package upstream

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

// source is a Source that counts.
type source struct {
	repaid int64
	freed  int
}

func (s *source) Name() string   { return "web:1" }
func (s *source) Repay(n int64)  { s.repaid += n }
func (s *source) Free(b *[]byte) { s.freed++ }

// answering returns an exchange that an answer can be given to.
func answering(t *testing.T, method string) (*proxy.Exchange, *proxytest.Recorder) {
	rec := proxytest.NewRecorder("")
	x := proxy.NewExchange(&proxy.Conn{}, rec)
	t.Cleanup(x.Release)
	x.Req.Method = method
	return x, rec
}

// reason is what an error says, "" for none.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAnAnswerHasTheLengthThatItAnnounces(t *testing.T) {
	broken := &proxy.Fail{Status: 502, Reason: "the worker died"}
	for _, c := range []struct {
		name, method string
		status       int
		length       string // Content-Length; "": none
		blocks       []string
		end          error
		body         string
		stream       string // why it is incomplete; "": it is complete
		whole        string // the same, of the same bytes in one piece
	}{
		{"exact", "GET", 200, "6", []string{"abc", "def"}, nil, "abcdef", "", ""},
		{"without a length", "GET", 200, "", []string{"abc", "def"}, nil, "abcdef", "", ""},
		{"too many bytes in a block", "GET", 200, "4", []string{"abc", "def"}, nil, "abcd", "", ""},
		{"a block too many", "GET", 200, "3", []string{"abc", "def", "ghi"}, nil, "abc", "", ""},
		{"too few", "GET", 200, "7", []string{"abc", "def"}, nil, "abcdef", "web:1 ended its response after 6 of 7 bytes", "web:1 gave 6 bytes with a Content-Length of 7"},
		{"none", "GET", 200, "7", nil, nil, "", "web:1 ended its response after 0 of 7 bytes", "web:1 gave 0 bytes with a Content-Length of 7"},
		{"none announced", "GET", 200, "0", nil, nil, "", "", ""},
		{"broken", "GET", 200, "7", []string{"abc"}, broken, "abc", "the worker died", ""},
		{"broken without a length", "GET", 200, "", []string{"abc"}, broken, "abc", "the worker died", ""},
		{"HEAD", "HEAD", 200, "7", nil, nil, "", "", ""},
		{"HEAD with a body", "HEAD", 200, "7", []string{"abc"}, nil, "", "", ""},
		{"304", "GET", 304, "7", nil, nil, "", "", ""},
		{"204", "GET", 204, "7", []string{"abc"}, nil, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fields []string
			if c.length != "" {
				fields = []string{"Content-Length", c.length}
			}
			h, err := makeHead(c.status, fields...)
			if err != nil {
				t.Fatal(err)
			}
			body := strings.Join(c.blocks, "")
			x, rec := answering(t, c.method)
			s := &source{}
			w := &WriteBehind{Memory: 1 << 20}
			h.Apply(x, -1)
			if err := x.Res.Send(); err != nil {
				t.Fatal(err)
			}
			for i, b := range c.blocks {
				if ended, err := w.Give(x, h, s); ended || err != nil || rec.Flushes != i+1 {
					t.Fatalf("before block %d: ended %v, %v, %d flushes; want ended false and %d", i, ended, err, rec.Flushes, i+1)
				}
				buffer := []byte(b)
				w.Put(buffer, &buffer)
			}
			w.End(c.end)
			w.End(nil) // what comes behind the first reason changes nothing
			ended, err := w.Give(x, h, s)
			if ended {
				err = x.Res.Finish()
			}
			if reason(err) != c.stream || ended == (err != nil) || rec.Finished != ended || rec.Text() != c.body || s.freed != len(c.blocks) {
				t.Errorf("streamed: %q, ended %v, finished %v, %d buffers freed, %v; want %q, %q", rec.Text(), ended, rec.Finished, s.freed, err, c.body, c.stream)
			}
			if c.end != nil {
				return
			}
			x, rec = answering(t, c.method)
			err = h.Reply(x, []byte(body), "web:1")
			if c.whole != "" {
				c.body = ""
			}
			if reason(err) != c.whole || x.Res.Sent() == (err != nil) || rec.Finished == (err != nil) || rec.Text() != c.body {
				t.Errorf("whole: %q, sent %v, finished %v, %v; want %q, %q", rec.Text(), x.Res.Sent(), rec.Finished, err, c.body, c.whole)
			}
			fromFile(t, h, c.method, body, c.body, c.whole)
		})
	}
}

// fromFile gives an answer whose body is in a file, behind other bytes.
func fromFile(t *testing.T, h *Head, method, body, want, wantReason string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("skipped"+body), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, rec := answering(t, method)
	err = h.ReplyFile(x, f, 7, int64(len(body)), "web:1")
	if reason(err) != wantReason || rec.Finished == (err != nil) || rec.Text() != want {
		t.Errorf("from a file: %q, finished %v, %v; want %q, %q", rec.Text(), rec.Finished, err, want, wantReason)
	}
}

// A filter that changes the body takes the response's length away. What the upstream
// has announced counts all the same.
func TestAnAnswerThatIsFilteredHasItsLengthToo(t *testing.T) {
	for blocks, want := range map[string]string{"abc": "web:1 ended its response after 3 of 5 bytes", "abcde": "", "abcdefg": ""} {
		h, err := makeHead(200, "Content-Length", "5")
		if err != nil {
			t.Fatal(err)
		}
		x, rec := answering(t, "GET")
		h.Apply(x, -1)
		x.Res.Length = -1
		if err := x.Res.Send(); err != nil {
			t.Fatal(err)
		}
		w := &WriteBehind{Memory: 1 << 20}
		w.Put([]byte(blocks), nil)
		w.End(nil)
		if _, err := w.Give(x, h, &source{}); reason(err) != want || rec.Text() != blocks[:min(len(blocks), 5)] {
			t.Errorf("%q: %q, %v; want %q", blocks, rec.Text(), err, want)
		}
	}
}

// leaving is the wire of a client that leaves.
type leaving struct{ *proxytest.Recorder }

func (leaving) Write([]byte) (int, error) { return 0, proxy.ErrClientGone }

func TestAClientThatLeavesEndsItsAnswer(t *testing.T) {
	broken := errors.New("the disk is full")
	for _, end := range []error{nil, broken} {
		x := proxy.NewExchange(&proxy.Conn{}, leaving{proxytest.NewRecorder("")})
		h, err := makeHead(200)
		if err != nil {
			t.Fatal(err)
		}
		h.Apply(x, -1)
		if err := x.Res.Send(); err != nil {
			t.Fatal(err)
		}
		w, s := &WriteBehind{Memory: 1 << 20}, &source{}
		buffer := []byte("abc")
		w.Put(buffer, &buffer)
		w.End(end)
		want := end
		if end == nil {
			want = proxy.ErrClientGone
		}
		if ended, err := w.Give(x, h, s); ended || !errors.Is(err, want) || s.freed != 1 {
			t.Errorf("ended %v, %v, %d buffers freed; want %v", ended, err, s.freed, want)
		}
		x.Release()
	}
}

// TestAnUpstreamIsRepaidAsItsClientTakes has an upstream send more than may wait.
func TestAnUpstreamIsRepaidAsItsClientTakes(t *testing.T) {
	for _, disk := range []int64{0, 1} {
		h, err := makeHead(200)
		if err != nil {
			t.Fatal(err)
		}
		x, rec := answering(t, "GET")
		h.Apply(x, -1)
		if err := x.Res.Send(); err != nil {
			t.Fatal(err)
		}
		w, s := &WriteBehind{Memory: 1, Disk: disk, Dir: t.TempDir()}, &source{}
		var want strings.Builder
		var withheld int64
		for i := range 5 {
			block := fmt.Sprintf("block %d;", i)
			want.WriteString(block)
			if _, over, err := w.Put([]byte(block), nil); err != nil {
				t.Fatal(err)
			} else if over {
				withheld += int64(len(block))
			}
		}
		if withheld == 0 {
			t.Fatal("got no withheld bytes, want some")
		}
		if ended, err := w.Give(x, h, s); ended || err != nil || rec.Text() != want.String() || s.repaid != withheld || w.Received() != int64(want.Len()) {
			t.Errorf("%q, ended %v, %v, %d of %d bytes repaid, %d received; want %q, not ended, and all", rec.Text(), ended, err, s.repaid, withheld, w.Received(), want.String())
		}
		w.Drop(s)
	}
}

func TestDropFreesTheBuffersOfBlocks(t *testing.T) {
	w, s := &WriteBehind{Memory: 1 << 20}, &source{}
	for range 3 {
		data := []byte("block")
		if kept, _, err := w.Put(data, &data); !kept || err != nil {
			t.Fatalf("kept %v, %v; want kept true", kept, err)
		}
	}
	w.Next()
	if w.Drop(s); s.freed != 2 {
		t.Errorf("%d buffers freed; want the 2 that were not given", s.freed)
	}
	if w.Drop(s); s.freed != 2 {
		t.Errorf("%d buffers freed after a second Drop; want 2", s.freed)
	}
}
