package keeper

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"alicorn/config"
	"alicorn/proxy"
)

// Priority is what nginx's directive worker_priority says of the front.
type Priority struct {
	Nice int        // nice value of its threads, -20 to 20; 0: the keeper's own
	Pos  config.Pos // of the value in the configuration
}

// prioritize gives the front the priority that r, which may be nil, says, also where it
// was given the same before: somebody may have changed it. Where r says none, and none
// before it did, the front stays as it is. Workers keep the keeper's, since the keeper
// starts them. An error is logged and sent to the front, once, and the front goes on. The
// front must not be reaped meanwhile: the callers are spawn and, while the wire is served,
// settle.
func (k *Keeper) prioritize(r *Reading) {
	if r == nil || r.Priority == (Priority{}) && !k.given {
		return
	}
	nice, err := r.Priority.Nice, error(nil)
	if nice == 0 {
		nice, err = niceOf(os.Getpid())
	}
	if err == nil {
		if err = renice(k.pid, nice); errors.Is(err, syscall.EPERM) && os.Geteuid() == 0 {
			err = reniceAs(k.o.User.UID, k.pid, nice)
		}
	}
	k.given = r.Priority != (Priority{}) || err != nil
	refused := ""
	switch {
	case err == nil:
	case r.Priority == (Priority{}):
		refused = fmt.Sprintf("%s has no worker_priority any more, and the front keeps that of before: %s", r.Main, err)
	default:
		refused = fmt.Sprintf("%s: worker_priority %d: %s", r.Priority.Pos, r.Priority.Nice, err)
	}
	if refused == k.refused {
		return
	}
	k.refused = refused
	if refused != "" {
		k.log(proxy.LevelAlert, fmt.Sprintf("%s; the front (pid %d) goes on", refused, k.pid))
	}
	k.mu.Lock()
	w := k.front
	k.mu.Unlock()
	if w != nil {
		k.send(w, &message{Kind: tellPriority, Body: []byte(refused)})
	}
}
