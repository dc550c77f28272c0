package rewrite

import (
	"errors"

	"alicorn/proxy"
)

// program is the instructions of a server or location.
type program struct {
	code []instruction
	log  bool
}

// instruction is one directive. It returns nil to go on with the next, errEnd
// to end the round, or the error that ends the request. It must not keep r.
type instruction interface {
	do(x *proxy.Exchange, r round) (round, error)
}

// round is one run of a program.
type round struct {
	changed bool // the location must be found again
	// plain says that captures are not escaped. It is set by the first rewrite that
	// matches; before that, captures are escaped if the request's path was.
	plain bool
	log   bool // rewrite_log
}

var errEnd = errors.New("end of this round of rewriting")

func (p program) runServer(x *proxy.Exchange) error {
	_, err := run(x, round{log: p.log}, p.code)
	return unlessEnd(err)
}

func (p program) runLocation(x *proxy.Exchange) error {
	r, err := run(x, round{log: p.log}, p.code)
	if err := unlessEnd(err); err != nil {
		return err
	}
	if r.changed {
		return x.FindAgain()
	}
	return nil
}

func unlessEnd(err error) error {
	if err == errEnd {
		return nil
	}
	return err
}

func run(x *proxy.Exchange, r round, code []instruction) (round, error) {
	var err error
	for _, i := range code {
		if r, err = i.do(x, r); err != nil {
			break
		}
	}
	return r, err
}

// branch is an if block.
type branch struct {
	condition condition
	code      []instruction
	location  *proxy.Location // nil in a server
	log       bool
}

func (b branch) do(x *proxy.Exchange, r round) (round, error) {
	if ok, err := b.condition.holds(x, r); err != nil || !ok {
		return r, err
	}
	if b.location != nil {
		x.Location = b.location
	}
	outer := r.log
	r.log = b.log
	r, err := run(x, r, b.code)
	r.log = outer
	return r, err
}

// stop is a break directive.
type stop struct{}

func (stop) do(_ *proxy.Exchange, r round) (round, error) {
	r.changed = false
	return r, errEnd
}
