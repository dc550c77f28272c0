package proxypass

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"alicorn/proxy"
	"alicorn/proxy/upstream"
)

// format writes requests of a gateway's protocol; see package cgi.
type format interface {
	Begin(dst []byte, length int64) []byte
	Name(dst []byte, size int) []byte
	Middle(dst []byte) []byte
	Value(dst []byte, size, at int) []byte
	End(dst []byte, start int) ([]byte, error)
	Body(dst, body []byte) []byte
}

// paramEncoder writes requests to gateways as parameters, with the client's header fields among
// them.
type paramEncoder struct {
	format format
	parts  upstream.Framing // of a body that is written in parts
	params []param
	passes bool     // the client's fields are passed on
	own    fieldSet // the fields that are not, because a parameter has their name
	keys   []string // the same as keys of parameters: "X_FORWARDED_FOR"
	// zeros says that names and values end with a NUL, so that they must not contain one.
	zeros bool
}

func newParamEncoder(c *settings, f format, parts upstream.Framing) *paramEncoder {
	e := &paramEncoder{format: f, parts: parts, passes: c.passHeaders}
	for _, key := range neverPassed {
		e.hide(key)
	}
	for _, p := range c.gateway.params.Items() {
		key, ok := strings.CutPrefix(p.name, fieldPrefix)
		if ok {
			e.hide(key)
		}
		if !ok || !p.value.IsEmpty() {
			e.params = append(e.params, p)
		}
	}
	return e
}

// fieldPrefix is the prefix of parameters for header fields.
const fieldPrefix = "HTTP_"

// neverPassed are fields that applications get only from a parameter of the configuration. The
// body comes without its transfer coding. With HTTP_PROXY a client could choose the proxy for
// the application's own requests.
var neverPassed = []string{"TRANSFER_ENCODING", "PROXY"}

// hide leaves out the field with that key.
func (e *paramEncoder) hide(key string) {
	e.own.add(strings.ReplaceAll(key, "_", "-"))
	e.keys = append(e.keys, key)
}

// hidden reports whether a field is left out.
func (e *paramEncoder) hidden(f proxy.Field) bool {
	if id := f.ID(); id != proxy.FieldOther {
		return e.own.has(id, f.Name)
	}
	return slices.ContainsFunc(e.keys, func(key string) bool { return isKey(f.Name, key) })
}

func (e *paramEncoder) append(dst []byte, x *proxy.Exchange, _ place, length int64) ([]byte, error) {
	start := len(dst)
	dst = e.format.Begin(dst, length)
	for i := range e.params {
		at := len(dst)
		dst = e.appendParam(dst, &e.params[i], x, length)
		if e.zeros && bytes.Count(dst[at:], zero) > 2 {
			return nil, &proxy.Fail{Status: 400, Level: proxy.LevelInfo, Reason: fmt.Sprintf("the value of the parameter %s has a NUL", e.params[i].name)}
		}
	}
	if e.passes {
		dst = e.appendFields(dst, x)
	}
	dst, err := e.format.End(dst, start)
	if err != nil {
		return nil, &proxy.Fail{Status: 500, Level: proxy.LevelAlert, Reason: err.Error()}
	}
	return dst, nil
}

// zero ends a name, and a value.
var zero = []byte{0}

// appendParam appends a parameter. For a chunked body that was read, an empty CONTENT_LENGTH
// gets its length.
func (e *paramEncoder) appendParam(dst []byte, p *param, x *proxy.Exchange, length int64) []byte {
	start := len(dst)
	dst = e.format.Middle(append(e.format.Name(dst, len(p.name)), p.name...))
	at := len(dst)
	dst = p.value.Append(x, dst)
	if len(dst) == at && length >= 0 && x.Req.Chunked && p.name == "CONTENT_LENGTH" {
		dst = strconv.AppendInt(dst, length, 10)
	}
	if len(dst) == at && p.present {
		return dst[:start]
	}
	return e.format.Value(dst, len(p.name), at)
}

// appendFields appends the client's fields: X-A as HTTP_X_A. Several lines with one name
// become one parameter, as in nginx since 1.23. Host is the host of the request's target, if
// that has one.
func (e *paramEncoder) appendFields(dst []byte, x *proxy.Exchange) []byte {
	h := &x.Req.Header
	names := h.Repeats(x.Core().Underscores)
	for i := range h.Len() {
		f := h.At(i)
		alone := names.Alone(i)
		if e.hidden(f) || !alone && !names.First(i) {
			continue
		}
		size := len(fieldPrefix) + len(f.Name)
		dst = e.format.Middle(appendKey(append(e.format.Name(dst, size), fieldPrefix...), f.Name))
		at := len(dst)
		if f.ID() == proxy.FieldHost && x.Req.Authority != "" {
			dst = append(dst, x.Req.Authority...)
		} else {
			dst = append(dst, f.Value...)
		}
		for j := i; !alone && names.Next(j) != 0; {
			j = names.Next(j)
			dst = append(append(dst, separatorOf(f.ID())...), h.At(j).Value...)
		}
		dst = e.format.Value(dst, size, at)
	}
	return dst
}

// separatorOf returns the text between the values of several lines with one name.
func separatorOf(id proxy.FieldID) string {
	if id == proxy.FieldCookie {
		return "; "
	}
	return ", "
}

// appendKey appends the key of a field's name: X_A for X-A.
func appendKey(dst []byte, name string) []byte {
	for i := range len(name) {
		dst = append(dst, keyByte(name[i]))
	}
	return dst
}

// isKey reports whether key is the key of a field's name.
func isKey(name, key string) bool {
	if len(name) != len(key) {
		return false
	}
	for i := range len(name) {
		if keyByte(name[i]) != key[i] {
			return false
		}
	}
	return true
}

func keyByte(c byte) byte {
	switch {
	case c == '-':
		return '_'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 'A'
	}
	return c
}

func (e *paramEncoder) body(dst, body []byte) []byte { return e.format.Body(dst, body) }

func (e *paramEncoder) framing(int64) upstream.Framing { return e.parts }

func (e *paramEncoder) url(dst, _ []byte) []byte { return dst }
