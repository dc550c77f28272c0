package websocket

import "time"

// EndWithin makes d the bound of connections' ends.
func (f *Feature) EndWithin(d time.Duration) { f.waits = waits{close: d, fault: d} }
