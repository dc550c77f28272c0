package pool

import (
	"testing"

	"alicorn/appserver/wire"
)

func TestASlotCannotSendMoreThanItsCredit(t *testing.T) {
	w := &worker{slots: make([]slot, 1)}
	account := &thread{}
	account.credit.Store(Window)
	w.slots[0].account = account
	r := &Job{placing: placing{at: placeSent, slot: -1}}
	for i, c := range []struct {
		size int
		ok   bool
	}{{60000, true}, {60000, true}, {60000, true}, {60000, true}, {60000, false}} {
		kind := byte(wire.KindData)
		if i == 0 {
			kind = wire.KindHead
		}
		if err := w.accept(r, wire.Frame{Kind: kind, Payload: make([]byte, c.size)}, i == 0); (err == nil) != c.ok {
			t.Errorf("block %d: %v; want success: %v", i, err, c.ok)
		}
	}
}
