package rewrite

import (
	"fmt"
	"strings"
	"unsafe"

	"alicorn/config"
	"alicorn/proxy"
)

// value is a text with variables. It can be used once its Load has finished.
type value struct {
	text   string // the whole value if it has no variables
	pieces []piece
}

type piece struct {
	literal string
	get     proxy.Getter
	capture bool
}

func parseValue(l *config.Load, a config.Arg) *value {
	v := &value{}
	proxy.ParsePieces(l, a.Pos, a.Text, func(pieces []proxy.Piece) { v.pieces, v.text = compilePieces(pieces) })
	return v
}

// compilePieces returns the pieces of a value, or only a text if it has no variables.
func compilePieces(pieces []proxy.Piece) (_ []piece, text string) {
	var out []piece
	static := true
	for _, p := range pieces {
		out = append(out, piece{p.Literal, p.Get, p.Name != "" && p.Name[0] <= '9'})
		text += p.Literal
		static = static && p.Get == nil
	}
	if static {
		return nil, text
	}
	return out, ""
}

// appendTo appends the value for x. With escape, captures are percent-encoded.
func (v *value) appendTo(x *proxy.Exchange, dst []byte, escape bool) []byte {
	if v.pieces == nil {
		return append(dst, v.text...)
	}
	for i := range v.pieces {
		p := &v.pieces[i]
		start := len(dst)
		switch {
		case p.get == nil:
			dst = append(dst, p.literal...)
		default:
			dst, _ = p.get(x, dst)
			if p.capture && escape {
				dst = escapeArgs(dst, start)
			}
		}
	}
	return dst
}

// string returns the value for x, in memory that nothing else uses.
func (v *value) string(x *proxy.Exchange, escape bool) string {
	if v.pieces == nil {
		return v.text
	}
	return owned(v.appendTo(x, make([]byte, 0, 64), escape))
}

// owned returns b as a string. The caller must be the only owner of b.
func owned(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// escapes reports whether captures are escaped in this round. As in nginx, they are if the
// request's path was sent with "%" or "+".
func (r round) escapes(x *proxy.Exchange) bool { return !r.plain && encoded(x.Req.Target) }

func encoded(target string) bool {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	return strings.ContainsAny(target, "%+")
}

// escapeArgs percent-encodes the bytes of dst[from:] that have a meaning in arguments, as
// nginx does.
func escapeArgs(dst []byte, from int) []byte {
	const hex = "0123456789ABCDEF"
	special := func(c byte) bool { return c <= ' ' || c >= 0x7f || strings.IndexByte("\"#%&+;<>?\\^`{|}", c) >= 0 }
	n := 0
	for _, c := range dst[from:] {
		if special(c) {
			n++
		}
	}
	if n == 0 {
		return dst
	}
	end := len(dst)
	dst = append(dst, make([]byte, 2*n)...)
	for i, j := end-1, len(dst)-1; i >= from; i-- {
		if c := dst[i]; special(c) {
			dst[j], dst[j-1], dst[j-2] = hex[c&15], hex[c>>4], '%'
			j -= 3
		} else {
			dst[j] = c
			j--
		}
	}
	return dst
}

// assignment is a set directive.
type assignment struct {
	slot  int
	value *value
}

func (a *assignment) do(x *proxy.Exchange, r round) (round, error) {
	x.SetVar(a.slot, a.value.string(x, r.escapes(x)))
	return r, nil
}

// assignArgs is a set directive of $args.
type assignArgs struct{ value *value }

func (a *assignArgs) do(x *proxy.Exchange, r round) (round, error) {
	x.Req.Args = a.value.string(x, r.escapes(x))
	x.Req.HasArgs = x.Req.Args != ""
	return r, nil
}

// assignRate is a set directive of $limit_rate.
type assignRate struct{ value *value }

func (a *assignRate) do(x *proxy.Exchange, r round) (round, error) {
	text := a.value.string(x, r.escapes(x))
	n, err := config.ParseSize(text)
	if err != nil {
		x.Log(proxy.LevelError, "invalid $limit_rate %q", text)
		return r, nil
	}
	x.SetLimitRate(n)
	return r, nil
}

func newAssignment(s *config.Scope, n *config.Node) (instruction, error) {
	at := func(format string, args ...any) error {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf(format, args...)}
	}
	name, err := proxy.VariableName(n.Arg(0))
	if err != nil {
		return nil, at("%s", err)
	}
	v := parseValue(s.Load(), n.Args[1])
	switch strings.ToLower(name) {
	case "args":
		return &assignArgs{v}, nil
	case "limit_rate":
		return &assignRate{v}, nil
	}
	slot, err := proxy.Define(s.Load(), name)
	if err != nil {
		return nil, at("%s", err)
	}
	return &assignment{slot, v}, nil
}
