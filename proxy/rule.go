package proxy

import (
	"fmt"
	"strings"

	"alicorn/config"
)

// Rule computes the value of a variable that the configuration defines, as map does.
// It returns a part of the configuration, whose own variables are read after that. It
// may append to scratch what it compares, and keeps nothing of it. Its error is that of
// a regular expression, and ends the request.
type Rule func(x *Exchange, scratch []byte) (*Template, error)

// DefineRule gives the variable name, which the directive at pos defines, a rule.
// With keep a request computes it when it is first read, and keeps the value;
// otherwise each reading computes it. A value that set gives it comes first. As in
// nginx a second rule for a name takes the place of the first one, which is a
// warning.
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

// VariableName returns the name of a variable that a directive defines: the word after
// its "$".
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

// computed reads the value that the rule computes. A rule that needs its own
// variable finds it empty, as in nginx, and the log says so.
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
			// It is empty from now on, so that the error's page can be made.
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

// variable returns the place of the variable in slot, until another one is set.
func (x *Exchange) variable(slot int) *variable {
	for len(x.vars) <= slot {
		x.vars = append(x.vars, variable{})
	}
	return &x.vars[slot]
}

// Fault ends the request with err where it is before its response: a variable that it
// needs could not be computed.
func (x *Exchange) Fault(err error) { x.fault = err }

// TakeFault returns the error of Fault, once. Who has read variables for what cannot be
// taken back, such as a request to another server, asks before.
func (x *Exchange) TakeFault() error {
	err := x.fault
	x.fault = nil
	return err
}
