package keeper

import (
	"context"
	"errors"
	"log/slog"
)

// settled calls Options.Settled.
func (k *Keeper) settled(ok bool) {
	if k.o.Settled != nil {
		k.o.Settled(ok)
	}
}

// mostTrouble bounds the text of Client.Trouble, in bytes.
const mostTrouble = 4096

// Alive asks the front whether it works, and returns nil once it has answered.
// One call may run at a time.
func (k *Keeper) Alive(ctx context.Context) error {
	select {
	case <-k.alive: // a late answer to the call before
	default:
	}
	k.mu.Lock()
	w := k.front
	k.mu.Unlock()
	if w == nil {
		return errors.New("there is no front")
	}
	k.send(w, &message{Kind: tellCommand, Number: k.o.Alive})
	select {
	case <-k.alive:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *Keeper) onAlive() {
	select {
	case k.alive <- struct{}{}:
	default:
	}
}

// Log writes a line to the error log of the configuration that serves, or to
// standard error before one does.
func (k *Keeper) Log(level slog.Level, text string) { k.log(level, text) }
