package config

// Key gives access to one feature's settings, a T, in any Scope. T is copied by
// assignment when a block opens. So T may have values, Lists, and pointers to what all
// blocks share, but no map or slice that a block changes.
type Key[T any] struct {
	index int
	zero  func() T
	// Enter resets the settings that a new block must not inherit. It may be nil.
	Enter func(s *Scope, c *T)
	// Leave runs after all directives of the block, and of the blocks in it. It derives
	// defaults and checks combinations. It may be nil.
	Leave func(s *Scope, c *T) error
}

// NewKey returns a Key. The settings of the main Scope start as defaults().
func NewKey[T any](defaults func() T) *Key[T] { return &Key[T]{zero: defaults} }

// In returns the settings of s, to read or, from a Setter, to change.
func (k *Key[T]) In(s *Scope) *T { return s.values[k.index].(*T) }

func (k *Key[T]) register(index int) { k.index = index }

func (k *Key[T]) defaults() any { c := k.zero(); return &c }

func (k *Key[T]) copyOf(from any) any { c := *from.(*T); return &c }

func (k *Key[T]) enter(s *Scope) {
	if k.Enter != nil {
		k.Enter(s, k.In(s))
	}
}

func (k *Key[T]) leave(s *Scope) error {
	if k.Leave == nil {
		return nil
	}
	return k.Leave(s, k.In(s))
}

// List is a list that blocks inherit. The first item that a block adds drops the inherited
// items, as with nginx's add_header, error_page and access_log.
type List[E any] struct {
	items []E
	owner *Scope
}

// Add appends e for the block s.
func (l *List[E]) Add(s *Scope, e E) {
	if l.owner != s {
		l.items, l.owner = nil, s
	}
	l.items = append(l.items, e)
}

// Clear makes the list empty for the block s, as "off" does.
func (l *List[E]) Clear(s *Scope) { l.items, l.owner = nil, s }

// Given reports whether a block has added items or cleared the list.
func (l *List[E]) Given() bool { return l.owner != nil }

// Items returns the list in effect. The caller must not change it.
func (l *List[E]) Items() []E { return l.items }
