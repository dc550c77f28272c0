package wire

// NewArena returns nil: bodies are sent as descriptors.
func NewArena() (*Arena, error) { return nil, nil }

func dropPages([]byte) {}
