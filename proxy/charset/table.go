package charset

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"alicorn/config"
)

// tables are the tables of a configuration's charset_map blocks, by the names of two charsets
// in lower case: from and to.
type tables struct{ byName map[[2]string]*table }

func (ts *tables) find(from, to string) *table {
	return ts.byName[[2]string{strings.ToLower(from), strings.ToLower(to)}]
}

// table converts texts in one direction of a charset_map. With utf-8 one direction has wide,
// the other one narrow; otherwise both have single.
type table struct {
	single *[256]byte    // from a byte to a byte
	wide   *[256]string  // from a byte to a character of utf-8
	narrow map[rune]byte // from a character of utf-8 to a byte
}

// unknown replaces a character that the other charset does not have.
const unknown = '?'

const wideCharset = "utf-8"

// setMap is the Setter of charset_map.
func setMap(k *config.Key[settings]) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		ts, from, to := k.In(s).tables, strings.ToLower(n.Arg(0)), strings.ToLower(n.Arg(1))
		switch {
		case from == to:
			return fmt.Errorf("\"charset_map\" between the same charsets %q and %q", n.Arg(0), n.Arg(1))
		case from == wideCharset:
			return fmt.Errorf("charset_map has utf-8 as its second charset")
		case ts.find(from, to) != nil:
			return fmt.Errorf("duplicate \"charset_map\" between %q and %q", n.Arg(0), n.Arg(1))
		}
		there, back := newTables(to == wideCharset)
		for _, line := range n.Children {
			if line.Block || len(line.Args) != 1 {
				return &config.Error{Pos: line.Pos, Msg: "a line of charset_map is a byte of the first charset and what it is in the second, in hexadecimal"}
			}
			if err := addPair(there, back, line.Name, line.Arg(0)); err != nil {
				return &config.Error{Pos: line.Pos, Msg: err.Error()}
			}
		}
		if ts.byName == nil {
			ts.byName = map[[2]string]*table{}
		}
		ts.byName[[2]string{from, to}], ts.byName[[2]string{to, from}] = there, back
		return nil
	}
}

// newTables returns tables for both directions, with ASCII only.
func newTables(wide bool) (there, back *table) {
	if wide {
		there, back = &table{wide: new([256]string)}, &table{narrow: map[rune]byte{}}
	} else {
		there, back = &table{single: new([256]byte)}, &table{single: new([256]byte)}
	}
	for i := range 256 {
		c := byte(unknown)
		if i < utf8.RuneSelf {
			c = byte(i)
		}
		if wide {
			there.wide[i], back.narrow[rune(c)] = string(rune(c)), c
		} else {
			there.single[i], back.single[i] = c, c
		}
	}
	return there, back
}

// addPair adds a line to both tables: a byte, and a byte or a character.
func addPair(there, back *table, from, to string) error {
	b, err := strconv.ParseUint(from, 16, 8)
	if err != nil {
		return fmt.Errorf("invalid value %q; it is a byte in hexadecimal", from)
	}
	if there.single != nil {
		c, err := strconv.ParseUint(to, 16, 8)
		if err != nil {
			return fmt.Errorf("invalid value %q; it is a byte in hexadecimal", to)
		}
		there.single[b], back.single[c] = byte(c), byte(b)
		return nil
	}
	text, err := hex.DecodeString(to)
	r, size := utf8.DecodeRune(text)
	if err != nil || r == utf8.RuneError || size != len(text) || r > 0xffff {
		return fmt.Errorf("invalid value %q; it is a character of utf-8, of up to three bytes in hexadecimal", to)
	}
	there.wide[b], back.narrow[r] = string(text), byte(b)
	return nil
}

// keepsLength reports whether a text has the same length after the conversion.
func (t *table) keepsLength() bool { return t.single != nil }

// append appends text in the other charset. left is the beginning of a character whose end has
// not come; with ends there is none.
func (t *table) append(dst, text []byte, ends bool) (_, left []byte) {
	switch {
	case t.single != nil:
		for _, c := range text {
			dst = append(dst, t.single[c])
		}
	case t.wide != nil:
		for _, c := range text {
			dst = append(dst, t.wide[c]...)
		}
	default:
		return t.appendNarrow(dst, text, ends)
	}
	return dst, nil
}

// appendNarrow is append from utf-8. A character that the charset does not have becomes
// &#NUMBER;.
func (t *table) appendNarrow(dst, text []byte, ends bool) (_, left []byte) {
	for len(text) > 0 {
		if !ends && !utf8.FullRune(text) {
			return dst, text
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		switch c, ok := t.narrow[r]; {
		case ok:
			dst = append(dst, c)
		case r == utf8.RuneError && size == 1:
			dst = append(dst, unknown)
		default:
			dst = append(strconv.AppendInt(append(dst, "&#"...), int64(r), 10), ';')
		}
	}
	return dst, nil
}
