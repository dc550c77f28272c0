// Package splitclients is nginx's split_clients module: a variable that divides
// requests by a text. Requests with the same text have the same value.
//
// As in nginx the text is hashed by MurmurHash2, so that both divide alike.
package splitclients

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"alicorn/config"
	"alicorn/proxy"
)

// Module returns the feature.
func Module() proxy.Module {
	return proxy.Module{Name: "split_clients", Directives: []config.Directive{
		{Name: "split_clients", In: config.HTTP, Block: true, Args: config.TwoArgs, Repeat: true, Set: set,
			Syntax: "TEXT $VARIABLE { PERCENT% VALUE; ... * VALUE; }",
			Help:   "Makes a variable that divides requests by TEXT, which has variables: each line has a share, from 0.01% to 100%, and its value, which has none. \"*\" is for the rest, and stands last; without it the rest has the empty text. A request finds the value once."},
	}}
}

// split is one block.
type split struct {
	text   *proxy.Template
	shares []share
	rest   *proxy.Template
}

// share is a line: for hashes below the limit that no line before it is for.
type share struct {
	below uint32
	value *proxy.Template
}

// whole is a hundred percent, in hundredths of one.
const whole = 10_000

func set(s *config.Scope, n *config.Node) error {
	name, err := proxy.VariableName(n.Arg(1))
	if err != nil {
		return &config.Error{Pos: n.Args[1].Pos, Msg: err.Error()}
	}
	c := &split{text: proxy.ParseTemplate(s.Load(), n.Args[0].Pos, n.Arg(0)), rest: proxy.FixedTemplate("")}
	sum, last := 0, uint64(0)
	for _, line := range n.Children {
		if line.Block || len(line.Args) != 1 {
			return &config.Error{Pos: line.Pos, Msg: "a line of split_clients is a share and a value"}
		}
		value, part := proxy.FixedTemplate(line.Arg(0)), whole
		if line.Name != "*" {
			if part, err = percent(line.Name); err != nil {
				return &config.Error{Pos: line.Pos, Msg: err.Error()}
			}
			last += uint64(part) * math.MaxUint32 / whole
			c.shares = append(c.shares, share{uint32(last), value})
			sum += part
		} else {
			c.rest, sum = value, max(sum, whole)
		}
		if sum > whole {
			return &config.Error{Pos: line.Pos, Msg: "percent total is greater than 100%"}
		}
	}
	if err := proxy.DefineRule(s.Load(), n.Args[1].Pos, name, true, c.find); err != nil {
		return &config.Error{Pos: n.Args[1].Pos, Msg: err.Error()}
	}
	return nil
}

// percent reads a share in hundredths of a percent.
func percent(text string) (int, error) {
	number, ok := strings.CutSuffix(text, "%")
	before, after, _ := strings.Cut(number, ".")
	n := 0
	for _, c := range []byte(before + (after + "00")[:2]) {
		if c < '0' || c > '9' || n > whole {
			ok = false
			break
		}
		n = n*10 + int(c-'0')
	}
	if !ok || before == "" || len(after) > 2 || n == 0 {
		return 0, fmt.Errorf("invalid percent value %q; it is from 0.01%% to 100%%, with two decimals at most", text)
	}
	return n, nil
}

// find is the variable's rule.
func (c *split) find(x *proxy.Exchange, scratch []byte) (*proxy.Template, error) {
	hash := murmur2(c.text.Append(x, scratch)[len(scratch):])
	for i := range c.shares {
		if hash < c.shares[i].below {
			return c.shares[i].value, nil
		}
	}
	return c.rest, nil
}

// murmur2 is MurmurHash2 with the seed 0.
func murmur2(p []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(len(p))
	for ; len(p) >= 4; p = p[4:] {
		k := binary.LittleEndian.Uint32(p) * m
		h = h*m ^ (k^k>>24)*m
	}
	if len(p) > 0 {
		for i, c := range p {
			h ^= uint32(c) << (8 * i)
		}
		h *= m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
