package proxy

import (
	"fmt"
	"strings"

	"alicorn/config"
)

// Rule computes the value of a variable that the configuration defines, as map does. It
// returns a template of the configuration, which the caller evaluates. A Rule may append
// to scratch, but keeps nothing of it. Its error comes from a regular expression, and ends
// the request.
type Rule func(x *Exchange, scratch []byte) (*Template, error)

// DefineRule gives a rule to the variable name, which the directive at pos defines. With
// keep a request computes the value once, when it is first read; without keep, each time
// that it is read. A value given by set takes precedence. As in nginx, a second rule for a
// name replaces the first one, with a warning.
func DefineRule(l *config.Load, pos config.Pos, name string, keep bool, rule Rule) error {
	d, err := registryOf(l).define(name)
	if err != nil {
		return err
	}
	if d.rule != nil {
		l.Warn(pos, "the variable \"$%s\" is defined twice; this takes the place of %s", name, d.rulePos)
	}
	d.rule, d.rulePos, d.keep = rule, pos, keep
	return nil
}

// VariableName checks the word "$name", with which a directive defines a variable, and
// returns the name.
func VariableName(word string) (string, error) {
	name, ok := strings.CutPrefix(word, "$")
	for i := range len(name) {
		ok = ok && isNameByte(name[i])
	}
	switch {
	case !ok || name == "":
		return "", fmt.Errorf("invalid variable name %q; it is \"$\" and letters, digits or underscores", word)
	case name[0] >= '0' && name[0] <= '9':
		return "", fmt.Errorf("%q is a capture of a regular expression, which cannot be set", word)
	}
	return name, nil
}

// computed returns the Getter of a variable with a rule. If the rule needs its own
// variable, that is empty, as in nginx, and an error is logged.
func (d *definition) computed(name string) Getter {
	slot, rule, keep := d.slot, d.rule, d.keep
	return func(x *Exchange, dst []byte) ([]byte, bool) {
		v := x.variable(slot)
		switch {
		case v.known:
			return append(dst, v.text...), true
		case v.computing:
			x.Log(LevelError, "cycle while evaluating variable %q", name)
			return dst, false
		}
		v.computing = true
		n := len(dst)
		value, err := rule(x, dst)
		if err == nil {
			dst = value.Append(x, dst)
		}
		v = x.variable(slot) // others may have made the list longer
		v.computing = false
		switch {
		case err != nil:
			// The variable is empty from now on, so that the error page can be made.
			v.text, v.known = "", true
			x.Fault(err)
		case keep && len(value.parts) == 0:
			v.text, v.known = value.text, true
		case keep:
			v.text, v.known = string(dst[n:]), true
		}
		return dst, true
	}
}

// variable returns the variable in slot. The pointer is valid until the next call.
func (x *Exchange) variable(slot int) *variable {
	for len(x.vars) <= slot {
		x.vars = append(x.vars, variable{})
	}
	return &x.vars[slot]
}

// Fault makes the request end with err, if its response has not begun: a variable that the
// request needs could not be computed.
func (x *Exchange) Fault(err error) { x.fault = err }

// TakeFault returns the error of Fault and clears it; nil if there is none. A caller that
// has read variables calls it before it does what cannot be undone, such as sending a
// request to another server.
func (x *Exchange) TakeFault() error {
	err := x.fault
	x.fault = nil
	return err
}
