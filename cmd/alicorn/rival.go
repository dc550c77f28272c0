package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"alicorn/cmd/alicorn/control"
)

// rivalPatience is how long running servers may take to say where they listen.
const rivalPatience = time.Second

// rival names the server of this program that listens on port, and the verbs that
// help; "": there is none.
func (p *program) rival(port uint16) string {
	if control.Trust(p.folders.run) != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), rivalPatience)
	defer cancel()
	running, _ := control.Running(ctx, p.folders.run)
	for _, c := range running {
		st, err := c.Status(ctx)
		if err != nil || !listensOn(st, port) {
			continue
		}
		if st.Config == p.name {
			return fmt.Sprintf("alicorn (pid %d), which serves this configuration already; \"alicorn reload\" brings changes in, and \"alicorn stop\" ends it", st.PID)
		}
		return fmt.Sprintf("alicorn (pid %d), which serves %s; \"alicorn stop -c %[2]s\" ends it", st.PID, st.Config)
	}
	return ""
}

func listensOn(st control.Status, port uint16) bool {
	for _, address := range st.Listeners {
		if ap, err := netip.ParseAddrPort(address); err == nil && ap.Port() == port {
			return true
		}
	}
	return false
}
