package keeper

import (
	"context"
	"errors"
	"os"

	"alicorn/proxy"
)

var errNotServing = errors.New("the server does not serve yet, or is stopping")

// upgrade has another process take over the listening sockets; then this one
// ends as if told to stop. An error leaves everything as it was.
func (k *Keeper) upgrade() error {
	ctx, sockets, err := k.beginUpgrade()
	if err != nil {
		return err
	}
	err = k.o.HandOver(ctx, sockets)
	k.abandonUpgrade()
	if err != nil {
		k.log(proxy.LevelEmerg, "upgrade failed, the old program goes on: "+err.Error())
		k.mu.Lock()
		w := k.front
		k.mu.Unlock()
		if w != nil {
			k.send(w, &message{Kind: tellUpgrade, Body: []byte(err.Error())})
		}
		return err
	}
	k.mu.Lock()
	k.handed = true
	k.mu.Unlock()
	k.log(proxy.LevelLife, "the new program has taken over")
	k.handedOver <- struct{}{}
	return nil
}

// beginUpgrade returns the sockets to hand over; ctx ends with abandonUpgrade.
func (k *Keeper) beginUpgrade() (context.Context, []*os.File, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.current == nil || k.life != lifeServing || k.handed || k.o.HandOver == nil:
		return nil, nil, errNotServing
	case k.abandon != nil:
		return nil, nil, errors.New("an upgrade is under way already")
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.abandon = cancel
	var sockets []*os.File
	for _, l := range k.current.Generation.Listeners {
		sockets = append(sockets, l.File())
	}
	return ctx, sockets, nil
}

// abandonUpgrade ends the upgrade that is under way, if there is one.
func (k *Keeper) abandonUpgrade() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.abandon != nil {
		k.abandon()
		k.abandon = nil
	}
}

// isHandedOver reports whether another process has taken over, with the names in the file system.
func (k *Keeper) isHandedOver() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.handed
}

// takeReason returns Reason, and forgets it.
func (k *Keeper) takeReason() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	reason := k.reason
	k.reason = ""
	return reason
}

// Reason returns why the front did not come up, in its own words; "" when it has not said.
func (k *Keeper) Reason() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reason
}
