package websocket

import (
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/proxy/eventloop"
	"alicorn/proxy/websocket/frames"
	"alicorn/proxy/websocket/framestest"
)

// recorded is a link to a client that has sent all its bytes.
type recorded struct {
	sent  []byte // the bytes that were not received yet
	turns int    // how often others had their turn
}

func (l *recorded) Receive(p []byte) (int, error) {
	if len(l.sent) == 0 {
		return 0, unix.EAGAIN
	}
	n := copy(p, l.sent)
	l.sent = l.sent[n:]
	return n, nil
}

func (l *recorded) Again()                                   { l.turns++ }
func (l *recorded) Idle(time.Duration) bool                  { return true }
func (l *recorded) Later(*eventloop.Turn, eventloop.Handler) {}
func (l *recorded) Send(p []byte) (int, error)               { return len(p), nil }
func (l *recorded) CloseWrite() error                        { return io.EOF }
func (l *recorded) Expired() bool                            { return false }
func (l *recorded) Hurry(time.Duration)                      {}
func (l *recorded) AwaitRoom(time.Duration) bool             { return false }
func (l *recorded) RoomExpired() bool                        { return false }
func (l *recorded) Lost() bool                               { return false }
func (l *recorded) Cut()                                     {}
func (l *recorded) Last()                                    {}
func (l *recorded) Over(*eventloop.Turn)                     {}

// silentPeer does nothing: its application has closed the WebSocket.
type silentPeer struct{}

func (silentPeer) Message(*eventloop.Turn, []byte, bool, bool) {}
func (silentPeer) Taken(*eventloop.Turn, int)                  {}
func (silentPeer) Closed(*eventloop.Turn, uint16, string)      {}

// Messages are dropped once the application has closed, but they are inflated. Others have
// their turns meanwhile.
func TestOthersHaveTurnsWhileDroppedMessagesAreInflated(t *testing.T) {
	const size, messages = 4 << 20, 2
	bomb := framestest.Frame(framestest.Fin|framestest.Binary|framestest.Rsv1, framestest.Deflated(strings.Repeat("a", size)))
	l := &recorded{}
	for range messages {
		l.sent = append(l.sent, bomb...)
	}
	if len(l.sent) > turnShare {
		t.Fatalf("got messages of %d bytes, want at most %d, which one turn receives", len(l.sent), turnShare)
	}
	h := &Handshake{rules: &rules{settings: settings{maxMessage: 2 * size}, waits: waits{close: time.Hour, fault: time.Hour}},
		deflate: frames.Deflate{On: true, ServerBits: 15, ClientBits: 12}}
	c := h.NewConn(silentPeer{}, 64<<10)
	c.link = l
	c.Close(nil, 1000, "")
	for was := -1; l.turns > was; {
		was = l.turns
		c.read(nil)
	}
	if least := messages * size / partsShare / 2; l.turns < least || len(l.sent) > 0 || c.closing.Load() != asked {
		t.Errorf("got %d turns of others, %d bytes left, state %d, want at least %d, 0, %d", l.turns, len(l.sent), c.closing.Load(), least, asked)
	}
}
