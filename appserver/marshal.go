package appserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Python's marshal, version 2: the types that the protocol uses.
const (
	typeUnicode    = 'u'
	typeInterned   = 't'
	typeShortASCII = 'z' // version 4, which every loads() reads
	typeBytes      = 's'
	typeInt        = 'i'
	typeLong       = 'l'
	typeNone       = 'N'
	typeTrue       = 'T'
	typeFalse      = 'F'
	typeTuple      = '('
	typeList       = '['
	typeDict       = '{'
	typeNull       = '0'

	maxDepth = 4
	maxItems = 1 << 14 // values in one message
)

var errMarshal = errors.New("malformed marshal data")

// decoder reads values that a worker has marshalled. It refuses whatever the
// protocol does not use, and allocates no more than the data's own size asks.
type decoder struct {
	data  []byte
	depth int
	items int
}

// decode reads one value that fills data: string, []byte, int64, nil, bool,
// []any (tuples too) or map[string]any.
func decode(data []byte) (any, error) {
	d := decoder{data: data}
	v, err := d.value()
	if err == nil && len(d.data) > 0 {
		err = errMarshal
	}
	return v, err
}

func (d *decoder) byte() byte {
	if len(d.data) == 0 {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

// size reads a count and refuses one that the data cannot hold.
func (d *decoder) size() (int, error) {
	if len(d.data) < 4 {
		return 0, errMarshal
	}
	n := binary.LittleEndian.Uint32(d.data)
	d.data = d.data[4:]
	if uint64(n) > uint64(len(d.data)) {
		return 0, errMarshal
	}
	return int(n), nil
}

func (d *decoder) bytes() ([]byte, error) {
	n, err := d.size()
	if err != nil {
		return nil, err
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b, nil
}

// text reads a str; the result aliases the data.
func (d *decoder) text() ([]byte, error) {
	if t := d.byte(); t != typeUnicode && t != typeInterned {
		return nil, errMarshal
	}
	return d.bytes()
}

// open reads the start of a tuple or list and returns its length.
func (d *decoder) open(types ...byte) (int, error) {
	if !slices.Contains(types, d.byte()) {
		return 0, errMarshal
	}
	return d.size()
}

func (d *decoder) value() (any, error) {
	if d.items++; d.items > maxItems || d.depth > maxDepth {
		return nil, errMarshal
	}
	switch t := d.byte(); t {
	case typeUnicode, typeInterned:
		b, err := d.bytes()
		return string(b), err
	case typeBytes:
		b, err := d.bytes()
		return slices.Clone(b), err
	case typeInt, typeLong:
		return d.number(t)
	case typeNone:
		return nil, nil
	case typeTrue, typeFalse:
		return t == typeTrue, nil
	case typeTuple, typeList:
		return d.list()
	case typeDict:
		return d.dict()
	}
	return nil, errMarshal
}

func (d *decoder) list() (any, error) {
	n, err := d.size()
	if err != nil {
		return nil, err
	}
	d.depth++
	defer func() { d.depth-- }()
	var all []any
	for range n {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func (d *decoder) dict() (any, error) {
	d.depth++
	defer func() { d.depth-- }()
	m := map[string]any{}
	for {
		if len(d.data) > 0 && d.data[0] == typeNull {
			d.data = d.data[1:]
			return m, nil
		}
		k, err := d.text()
		if err != nil {
			return nil, err
		}
		if m[string(k)], err = d.value(); err != nil {
			return nil, err
		}
	}
}

// number reads what follows typeInt or typeLong. Numbers past an int64 are refused.
func (d *decoder) number(t byte) (int64, error) {
	if len(d.data) < 4 {
		return 0, errMarshal
	}
	v := int64(int32(binary.LittleEndian.Uint32(d.data)))
	d.data = d.data[4:]
	if t == typeInt {
		return v, nil
	}
	digits, negative := v, v < 0
	if negative {
		digits = -digits
	}
	if digits == 0 || digits > 5 || int64(len(d.data)) < 2*digits {
		return 0, errMarshal
	}
	var n uint64
	for i := digits - 1; i >= 0; i-- {
		digit := uint64(binary.LittleEndian.Uint16(d.data[2*i:]))
		if digit >= 1<<15 || n > math.MaxInt64>>15 {
			return 0, errMarshal
		}
		n = n<<15 | digit
	}
	d.data = d.data[2*digits:]
	if n > math.MaxInt64 {
		return 0, errMarshal
	}
	if negative {
		return -int64(n), nil
	}
	return int64(n), nil
}

// appendText appends the str whose latin-1 encoding s is, as PEP 3333 has
// request data.
func appendText(dst []byte, s string) []byte {
	if len(s) < 256 {
		start := len(dst)
		dst = append(dst, typeShortASCII, byte(len(s)))
		dst = append(dst, s...)
		if isASCII(dst[start+2:]) {
			return dst
		}
		dst = dst[:start]
	}
	start := len(dst)
	dst = append(dst, typeUnicode, 0, 0, 0, 0)
	for i := 0; i < len(s); i++ {
		if s[i] < utf8.RuneSelf {
			dst = append(dst, s[i])
		} else {
			dst = utf8.AppendRune(dst, rune(s[i]))
		}
	}
	binary.LittleEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-5))
	return dst
}

func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendValue marshals v: string (as UTF-8), int, bool, nil, []string or
// map[string]any. It is for frames that are sent once.
func appendValue(dst []byte, v any) []byte {
	number := func(t byte, n int) { dst = binary.LittleEndian.AppendUint32(append(dst, t), uint32(n)) }
	switch v := v.(type) {
	case nil:
		dst = append(dst, typeNone)
	case bool:
		if v {
			return append(dst, typeTrue)
		}
		dst = append(dst, typeFalse)
	case int:
		number(typeInt, v)
	case string:
		number(typeUnicode, len(v))
		dst = append(dst, v...)
	case []string:
		number(typeList, len(v))
		for _, s := range v {
			dst = appendValue(dst, s)
		}
	case map[string]any:
		dst = append(dst, typeDict)
		for k, e := range v {
			dst = appendValue(appendValue(dst, k), e)
		}
		dst = append(dst, typeNull)
	default:
		panic(fmt.Sprintf("cannot marshal a %T", v))
	}
	return dst
}
