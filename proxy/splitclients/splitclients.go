// Package splitclients is nginx's split_clients module: a variable that divides requests by
// a text. Requests with the same text have the same value.
//
// As in nginx, the hash is MurmurHash2, so that both servers give the same value.
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
			Help:   "Makes a variable that divides requests by TEXT, which has variables: requests with the same TEXT have the same value. Each line has a share of the requests, from 0.01% to 100%, and its value, which has no variables. The last line may have * for the rest; without it the rest has the empty text. A request finds the value once."},
	}}
}

// split is one split_clients block.
type split struct {
	text   *proxy.Template
	shares []share
	rest   *proxy.Template
}

// share is one line. It has the hashes below its limit that no line before it has.
type share struct {
	below uint32
	value *proxy.Template
}

// whole is 100%, in hundredths of a percent.
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

// find is the Rule of the variable.
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
