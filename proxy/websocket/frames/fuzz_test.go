package frames_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"alicorn/proxy/websocket/frames"
	"alicorn/proxy/websocket/framestest"
)

// FuzzReader checks that a Reader reads the same in pieces, with little room, as in one
// piece, and that the frames of an echo server are valid.
func FuzzReader(f *testing.F) {
	for i, c := range framestest.Cases() {
		if len(c.Send) < 2000 {
			f.Add(c.Send, c.Offer != "", uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, sent []byte, compressed bool, seed uint64) {
		if len(sent) > 1<<16 {
			return
		}
		offer := ""
		if compressed {
			offer = "permessage-deflate; client_max_window_bits"
		}
		const limit = 5000
		whole := newEcho(t, offer, limit)
		whole.feed(t, bytes.Clone(sent))
		pieces := newEcho(t, offer, limit)
		random := rand.New(rand.NewPCG(seed, 1))
		for p := bytes.Clone(sent); len(p) > 0 && !pieces.closed; {
			n := 1 + random.IntN(min(len(p), 50))
			pieces.room = 1 + random.IntN(100)
			pieces.feed(t, p[:n])
			p = p[n:]
		}
		if got, want := pieces.outcome(t), whole.outcome(t); got != want {
			t.Errorf("in pieces: got %q, want %q", got, want)
		}
	})
}

// FuzzWriter checks that a client reads the messages that were written in random parts.
func FuzzWriter(f *testing.F) {
	f.Add([]byte("All work and no play makes Jack a dull boy. All work and no play."), uint64(1), uint8(15), true)
	f.Add(bytes.Repeat([]byte("0123456789"), 9000), uint64(2), uint8(9), false)
	f.Add([]byte{}, uint64(3), uint8(8), true)
	f.Fuzz(func(t *testing.T, text []byte, seed uint64, bits uint8, takesOver bool) {
		d := frames.Deflate{On: bits >= 8 && bits <= 15, ServerTakesOver: takesOver, ServerBits: int(bits)}
		w, random := frames.NewWriter(d), rand.New(rand.NewPCG(seed, 1))
		var answers framestest.Answers
		for range 3 {
			var out []byte
			for rest := text; ; {
				n := random.IntN(len(rest) + 1)
				last := n == len(rest)
				out = w.AppendPart(out, rest[:n], false, last)
				if rest = rest[n:]; last {
					break
				}
			}
			got, err := answers.Read(out)
			if err != nil || len(got) != 1 || got[0].Payload != string(text) {
				t.Fatalf("got %d messages, %v, want one with the text %q", len(got), err, text)
			}
		}
	})
}

func TestAFaultIsReturnedAgain(t *testing.T) {
	r := frames.NewReader(0, frames.Deflate{})
	for range 2 {
		if _, _, fault := r.Next(framestest.Bare(framestest.Fin|framestest.Text, "x"), 9); fault == nil || fault.Code != frames.ProtocolError {
			t.Errorf("got %v, want a protocol error", fault)
		}
	}
}

func TestNoRoomHoldsMessagesBack(t *testing.T) {
	for _, c := range []struct {
		name, offer, payload string
		first                byte
	}{
		{"plain", "", "hello", framestest.Fin | framestest.Text},
		{"compressed", "permessage-deflate", framestest.Deflated("hello"), framestest.Fin | framestest.Rsv1 | framestest.Text},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newEcho(t, c.offer, 0)
			p := append(framestest.Frame(c.first, c.payload), framestest.Frame(framestest.Fin|framestest.Binary, "")...)
			next := func(room int) frames.Event {
				n, e, err := s.reader.Next(p, room)
				if err != nil {
					t.Fatal(err)
				}
				p = p[n:]
				e.Data = bytes.Clone(e.Data)
				return e
			}
			for _, want := range []struct {
				room int
				kind frames.Kind
				data string
				last bool
			}{
				{-1, frames.NeedRoom, "", false},
				{0, frames.NeedRoom, "", false},
				{2, frames.Part, "he", false},
				{0, frames.NeedRoom, "", false},
				{3, frames.Part, "llo", true},
				{-1, frames.NeedRoom, "", false},
				{0, frames.Part, "", true},
				{0, frames.NeedInput, "", false},
			} {
				if e := next(want.room); e.Kind != want.kind || string(e.Data) != want.data || e.Last != want.last {
					t.Fatalf("with room for %d: got %+v, want %+v", want.room, e, want)
				}
			}
		})
	}
}

func TestAPartStaysValidUntilTheNextCall(t *testing.T) {
	d, _ := frames.Negotiate([]string{"permessage-deflate"})
	next := func(text string) (*frames.Reader, []byte) {
		r := frames.NewReader(0, d)
		_, e, err := r.Next(framestest.Frame(framestest.Fin|framestest.Rsv1|framestest.Text, framestest.Deflated(text)), frames.MaxPart)
		if err != nil || string(e.Data) != text || !e.Last {
			t.Fatalf("got %q, %v, last %v, want %q, the last", e.Data, err, e.Last, text)
		}
		return r, e.Data
	}
	one, data := next("the first message")
	other, _ := next("another client's")
	if string(data) != "the first message" {
		t.Errorf(`got %q after another message, want "the first message"`, data)
	}
	one.Release()
	other.Release()
}

func BenchmarkReader(b *testing.B) {
	for _, c := range []struct {
		name, offer string
		frame       []byte
	}{
		{"plain32", "", framestest.Frame(framestest.Fin|framestest.Text, string(bytes.Repeat([]byte("x"), 32)))},
		{"plain16K", "", framestest.Frame(framestest.Fin|framestest.Binary, string(bytes.Repeat([]byte("x"), 16<<10)))},
		{"deflated200", "permessage-deflate; client_max_window_bits", framestest.Frame(framestest.Fin|framestest.Rsv1|framestest.Text, framestest.Deflated(string(bytes.Repeat([]byte("abcdefghi,"), 20))))},
	} {
		b.Run(c.name, func(b *testing.B) {
			d, _ := frames.Negotiate([]string{c.offer})
			r := frames.NewReader(0, d)
			p := make([]byte, len(c.frame))
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				rest := p[:copy(p, c.frame)]
				for len(rest) > 0 {
					n, e, err := r.Next(rest, frames.MaxPart)
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
					_ = e
				}
				r.Next(nil, frames.MaxPart)
			}
		})
	}
}

func BenchmarkWriter(b *testing.B) {
	text := bytes.Repeat([]byte("{\"id\":123,\"name\":\"value\"},"), 8)
	for _, offer := range []string{"", "permessage-deflate", "permessage-deflate; server_no_context_takeover"} {
		b.Run(offer, func(b *testing.B) {
			d, _ := frames.Negotiate([]string{offer})
			w := frames.NewWriter(d)
			var out []byte
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				out = w.AppendPart(out[:0], text, true, true)
			}
			b.ReportMetric(float64(len(out)), "bytes/message")
		})
	}
}
