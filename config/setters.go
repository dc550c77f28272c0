package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Flag sets a bool from "on" or "off".
func Flag[T any](k *Key[T], field func(c *T) *bool) Setter {
	return func(s *Scope, n *Node) error {
		switch strings.ToLower(n.Arg(0)) {
		case "on":
			*field(k.In(s)) = true
		case "off":
			*field(k.In(s)) = false
		default:
			return &Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("%q takes \"on\" or \"off\", not %q", n.Name, n.Arg(0))}
		}
		return nil
	}
}

// Size sets a number of bytes; see ParseSize.
func Size[T any](k *Key[T], field func(c *T) *int64) Setter {
	return func(s *Scope, n *Node) error {
		v, err := ParseSize(n.Arg(0))
		if err != nil {
			return badValue(n, err)
		}
		*field(k.In(s)) = v
		return nil
	}
}

// SizeIn sets a number of bytes from low to high.
func SizeIn[T any](k *Key[T], low, high int64, field func(c *T) *int64) Setter {
	return func(s *Scope, n *Node) error {
		v, err := ParseSizeIn(n.Arg(0), low, high)
		if err != nil {
			return badValue(n, err)
		}
		*field(k.In(s)) = v
		return nil
	}
}

// Duration sets a time; see ParseTime.
func Duration[T any](k *Key[T], field func(c *T) *time.Duration) Setter {
	return func(s *Scope, n *Node) error {
		v, err := ParseTime(n.Arg(0))
		if err != nil {
			return badValue(n, err)
		}
		*field(k.In(s)) = v
		return nil
	}
}

// Int sets a whole number from low to high.
func Int[T any](k *Key[T], low, high int, field func(c *T) *int) Setter {
	return func(s *Scope, n *Node) error {
		v, err := ParseInt(n.Arg(0), low, high)
		if err != nil {
			return badValue(n, err)
		}
		*field(k.In(s)) = v
		return nil
	}
}

// String sets a string as written, without variables.
func String[T any](k *Key[T], field func(c *T) *string) Setter {
	return func(s *Scope, n *Node) error {
		*field(k.In(s)) = n.Arg(0)
		return nil
	}
}

// Strings adds every argument to a list.
func Strings[T any](k *Key[T], field func(c *T) *List[string]) Setter {
	return func(s *Scope, n *Node) error {
		for _, a := range n.Args {
			field(k.In(s)).Add(s, a.Text)
		}
		return nil
	}
}

// Choice is one word of an Enum, and the value that it sets.
type Choice[V any] struct {
	Word  string
	Value V
}

// Enum sets one of the choices.
func Enum[T, V any](k *Key[T], choices []Choice[V], field func(c *T) *V) Setter {
	return func(s *Scope, n *Node) error {
		i := slices.IndexFunc(choices, func(ch Choice[V]) bool { return ch.Word == n.Arg(0) })
		if i < 0 {
			return badValue(n, fmt.Errorf("%q is not one of %s", n.Arg(0), words(choices)))
		}
		*field(k.In(s)) = choices[i].Value
		return nil
	}
}

func words[V any](choices []Choice[V]) string {
	quoted := make([]string, len(choices))
	for i, ch := range choices {
		quoted[i] = strconv.Quote(ch.Word)
	}
	return strings.Join(quoted, ", ")
}

// badValue returns err with the position of the first argument and the directive's name.
func badValue(n *Node, err error) error {
	pos := n.Pos
	if len(n.Args) > 0 {
		pos = n.Args[0].Pos
	}
	return &Error{Pos: pos, Msg: fmt.Sprintf("%s: %s", n.Name, err)}
}
