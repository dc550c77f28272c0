package wire

// NewArena returns nil: bodies go as descriptors.
func NewArena() (*Arena, error) { return nil, nil }

func dropPages([]byte) {}
