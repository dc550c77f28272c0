package websocket

import "time"

// EndWithin makes the bounds of connections' ends d.
func (f *Feature) EndWithin(d time.Duration) { f.waits = waits{close: d, fault: d} }
