package appserver

import "os"

// newLane returns nil: everything goes by the channel.
func newLane(int) (*lane, *os.File, error) { return nil, nil, nil }

func (l *lane) close() {}

// newArena returns nil: bodies go as descriptors.
func newArena() (*arena, error) { return nil, nil }

func dropPages([]byte) {}
