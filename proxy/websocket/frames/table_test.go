package frames_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"alicorn/proxy/websocket/frames"
	"alicorn/proxy/websocket/framestest"
)

// echo is an echo server without a socket.
type echo struct {
	reader *frames.Reader
	writer *frames.Writer
	room   int
	out    []byte
	text   []byte
	closed bool
}

func newEcho(t *testing.T, offer string, limit int64) *echo {
	t.Helper()
	d, err := frames.Negotiate([]string{offer})
	if err != nil {
		t.Fatal(err)
	}
	return &echo{reader: frames.NewReader(limit, d), writer: frames.NewWriter(d), room: frames.MaxPart}
}

// feed reads bytes of the client.
func (s *echo) feed(t *testing.T, p []byte) {
	for !s.closed {
		n, e, fault := s.reader.Next(p, s.room)
		p = p[n:]
		if fault != nil {
			s.out, s.closed = frames.AppendClose(s.out, fault.Code, fault.Reason), true
			return
		}
		switch e.Kind {
		case frames.NeedInput:
			if len(p) > 0 {
				t.Fatalf("got NeedInput with %d bytes left, want 0", len(p))
			}
			return
		case frames.NeedRoom:
			t.Fatalf("got NeedRoom with room for %d bytes, want a part", s.room)
		case frames.Part:
			if len(e.Data) > s.room {
				t.Fatalf("got a part of %d bytes, want at most %d", len(e.Data), s.room)
			}
			if s.text = append(s.text, e.Data...); e.Last {
				s.out = s.writer.AppendPart(s.out, s.text, e.Text, true)
				s.text = s.text[:0]
			}
		case frames.Ping:
			s.out = frames.AppendControl(s.out, frames.PongFrame, e.Data)
		case frames.Close:
			s.out, s.closed = frames.AppendClose(s.out, e.Code, string(e.Data)), true
		}
	}
}

// outcome returns the server's frames to the close or the end.
func (s *echo) outcome(t *testing.T) string {
	s.reader.Release()
	var answers framestest.Answers
	all, err := answers.Read(s.out)
	if err != nil {
		t.Fatal(err)
	}
	return framestest.Outcome(all)
}

func TestTheTable(t *testing.T) {
	cases := framestest.Cases()
	if len(cases) < 250 {
		t.Errorf("got %d cases, want at least 250", len(cases))
	}
	names := map[string]bool{}
	for _, c := range cases {
		name := c.Section + ": " + c.Name
		if names[name] {
			t.Errorf("got two cases named %q, want one", name)
		}
		names[name] = true
		for _, split := range []struct {
			name string
			room int
			next func(left int) int
		}{
			{"whole", frames.MaxPart, func(left int) int { return left }},
			{"byte by byte", frames.MaxPart, func(int) int { return 1 }},
			{"in random pieces with little room", 7, func(left int) int { return 1 + rand.IntN(min(left, 3000)) }},
		} {
			if split.name == "byte by byte" && len(c.Send) > 10_000 {
				continue // it takes long, and the random pieces test the same
			}
			s := newEcho(t, c.Offer, framestest.Limit)
			s.room = split.room
			for p := append([]byte(nil), c.Send...); len(p) > 0 && !s.closed; {
				n := split.next(len(p))
				s.feed(t, p[:n])
				p = p[n:]
			}
			s.feed(t, c.Bye(len(c.Want)))
			if got := s.outcome(t); got != c.Want {
				t.Errorf("%s, %s: got %q, want %q", name, split.name, got, c.Want)
			}
		}
	}
}

func TestTheLargestLimitTakesMessages(t *testing.T) {
	s := newEcho(t, "permessage-deflate", math.MaxInt64)
	s.feed(t, framestest.Frame(framestest.Fin|framestest.Text|framestest.Rsv1, framestest.Deflated("packed")))
	s.feed(t, framestest.Frame(framestest.Fin|framestest.Text, "plain"))
	if len(s.text) > 0 || s.closed {
		t.Errorf("got %s, want both messages read", s.outcome(t))
	}
}
