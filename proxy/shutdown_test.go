package proxy

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// tunnel is a connection on which HTTP has ended.
type tunnel struct {
	kept
	engine *Engine
	conn   *Conn
}

func (u *tunnel) Tunnels() bool { return true }

func (u *tunnel) Close() error {
	u.engine.Unregister(u.conn)
	return nil
}

// A tunnel does not end by itself. worker_shutdown_timeout gives it its time.
func TestHowLongAShutdownLetsTunnelsGoOn(t *testing.T) {
	for _, c := range []struct {
		name  string
		bound time.Duration // 0: none
		want  time.Duration
	}{
		{"without a bound", 0, tunnelsLast}, {"with a longer bound", time.Minute, time.Minute}, {"with a shorter bound", time.Second, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := NewEngine(nil, nil)
				u := &tunnel{engine: e, conn: &Conn{}}
				e.Register(u.conn, u)
				ctx := t.Context()
				if c.bound > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.bound)
					defer cancel()
				}
				began := time.Now()
				err := e.Shutdown(ctx, 0)
				if took := time.Since(began); took != c.want || (err != nil) != (c.bound > 0) || e.Connections() > 0 {
					t.Errorf("it took %s, %v, and %d connections are left; want %s", took, err, e.Connections(), c.want)
				}
			})
		})
	}
}
