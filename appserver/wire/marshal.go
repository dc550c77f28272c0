package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// The types of Python's marshal, version 2, that the protocol uses.
const (
	TypeUnicode  = 'u'
	TypeInterned = 't'
	TypeBytes    = 's'
	TypeInt      = 'i'
	TypeLong     = 'l'
	TypeNone     = 'N'
	TypeTrue     = 'T'
	TypeFalse    = 'F'
	TypeTuple    = '('
	TypeList     = '['
	TypeDict     = '{'
	TypeNull     = '0'

	maxDepth = 4       // levels of lists and dicts
	maxItems = 1 << 14 // values in one message
)

// ErrMarshal is returned for data of a worker that are incomplete, or have types that the
// protocol does not use.
var ErrMarshal = errors.New("malformed marshal data")

// Decoder reads values that a worker has marshalled. What it allocates is bounded by the size
// of the data.
type Decoder struct {
	data  []byte // the data that were not read yet
	depth int
	items int // how many values were read
}

// NewDecoder returns a Decoder of data. Its results may alias data.
func NewDecoder(data []byte) Decoder { return Decoder{data: data} }

// Rest returns the data that were not read yet.
func (d *Decoder) Rest() []byte { return d.data }

// Decode reads one value, which must fill data: a string, []byte, int64, nil, bool, []any (for
// tuples, too) or map[string]any.
func Decode(data []byte) (any, error) {
	d := Decoder{data: data}
	v, err := d.value()
	if err == nil && len(d.data) > 0 {
		err = ErrMarshal
	}
	return v, err
}

// Byte reads one byte, the type of a value. At the end it returns 0, which is no type.
func (d *Decoder) Byte() byte {
	if len(d.data) == 0 {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

// size reads a count. A count of more than the bytes that follow is an error.
func (d *Decoder) size() (int, error) {
	if len(d.data) < 4 {
		return 0, ErrMarshal
	}
	n := binary.LittleEndian.Uint32(d.data)
	d.data = d.data[4:]
	if uint64(n) > uint64(len(d.data)) {
		return 0, ErrMarshal
	}
	return int(n), nil
}

// Bytes reads a count and as many bytes. The result aliases the data.
func (d *Decoder) Bytes() ([]byte, error) {
	n, err := d.size()
	if err != nil {
		return nil, err
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b, nil
}

// Text reads a str. The result aliases the data.
func (d *Decoder) Text() ([]byte, error) {
	if t := d.Byte(); t != TypeUnicode && t != TypeInterned {
		return nil, ErrMarshal
	}
	return d.Bytes()
}

// Open reads the start of a tuple or list, whose type must be one of types, and returns its
// length.
func (d *Decoder) Open(types ...byte) (int, error) {
	if !slices.Contains(types, d.Byte()) {
		return 0, ErrMarshal
	}
	return d.size()
}

// value reads a value of any type.
func (d *Decoder) value() (any, error) {
	if d.items++; d.items > maxItems || d.depth > maxDepth {
		return nil, ErrMarshal
	}
	switch t := d.Byte(); t {
	case TypeUnicode, TypeInterned:
		b, err := d.Bytes()
		return string(b), err
	case TypeBytes:
		b, err := d.Bytes()
		return slices.Clone(b), err
	case TypeInt, TypeLong:
		return d.Number(t)
	case TypeNone:
		return nil, nil
	case TypeTrue, TypeFalse:
		return t == TypeTrue, nil
	case TypeTuple, TypeList:
		return d.list()
	case TypeDict:
		return d.dict()
	}
	return nil, ErrMarshal
}

// list reads a list behind its type.
func (d *Decoder) list() (any, error) {
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

// dict reads a dict behind its type.
func (d *Decoder) dict() (any, error) {
	d.depth++
	defer func() { d.depth-- }()
	m := map[string]any{}
	for {
		if len(d.data) > 0 && d.data[0] == TypeNull {
			d.data = d.data[1:]
			return m, nil
		}
		k, err := d.Text()
		if err != nil {
			return nil, err
		}
		if m[string(k)], err = d.value(); err != nil {
			return nil, err
		}
	}
}

// Number reads an int behind its type t, TypeInt or TypeLong. A number that int64 does not hold
// is an error.
func (d *Decoder) Number(t byte) (int64, error) {
	if len(d.data) < 4 {
		return 0, ErrMarshal
	}
	v := int64(int32(binary.LittleEndian.Uint32(d.data)))
	d.data = d.data[4:]
	if t == TypeInt {
		return v, nil
	}
	digits, negative := v, v < 0
	if negative {
		digits = -digits
	}
	if digits == 0 || digits > 5 || int64(len(d.data)) < 2*digits {
		return 0, ErrMarshal
	}
	var n uint64
	for i := digits - 1; i >= 0; i-- {
		digit := uint64(binary.LittleEndian.Uint16(d.data[2*i:]))
		if digit >= 1<<15 || n > math.MaxInt64>>15 {
			return 0, ErrMarshal
		}
		n = n<<15 | digit
	}
	d.data = d.data[2*digits:]
	if n > math.MaxInt64 {
		return 0, ErrMarshal
	}
	if negative {
		return -int64(n), nil
	}
	return int64(n), nil
}

// AppendValue appends v, marshalled: a string (as UTF-8), int, bool, nil, []string or
// map[string]any of these. It panics for other types.
func AppendValue(dst []byte, v any) []byte {
	number := func(t byte, n int) { dst = binary.LittleEndian.AppendUint32(append(dst, t), uint32(n)) }
	switch v := v.(type) {
	case nil:
		dst = append(dst, TypeNone)
	case bool:
		if v {
			return append(dst, TypeTrue)
		}
		dst = append(dst, TypeFalse)
	case int:
		number(TypeInt, v)
	case string:
		number(TypeUnicode, len(v))
		dst = append(dst, v...)
	case []string:
		number(TypeList, len(v))
		for _, s := range v {
			dst = AppendValue(dst, s)
		}
	case map[string]any:
		dst = append(dst, TypeDict)
		for k, e := range v {
			dst = AppendValue(AppendValue(dst, k), e)
		}
		dst = append(dst, TypeNull)
	default:
		panic(fmt.Sprintf("cannot marshal a %T", v))
	}
	return dst
}
