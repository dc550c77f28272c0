package wire

import "os"

// NewLane returns nil: all frames go by the channel.
func NewLane(int, uint32) (*Lane, *os.File, error) { return nil, nil, nil }

// Close does nothing.
func (l *Lane) Close() {}
