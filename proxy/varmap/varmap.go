// Package varmap is nginx's map module: a variable whose value depends on a text.
//
// First the text is compared with the words of the block, whose case does not matter, and
// with wildcards of hosts if the block has hostnames. Then come regular expressions, in the
// order of the file, unless the text is empty. If nothing matches, the value is the default.
// As in nginx, a request finds the value when it is first read, and keeps it; with volatile
// it finds the value each time. The groups of a regular expression are $1 and so on until
// another one matches.
//
// A look-up allocates nothing, unless the value has variables or a regular expression has
// groups.
package varmap

import (
	"fmt"
	"strings"
	"unsafe"

	"alicorn/config"
	"alicorn/proxy"
)

// Module returns the feature.
func Module() proxy.Module {
	return proxy.Module{Name: "map", Directives: []config.Directive{
		{Name: "map", In: config.HTTP, Block: true, Args: config.TwoArgs, Repeat: true, Set: set,
			Syntax: "TEXT $VARIABLE { [hostnames;] [volatile;] [default VALUE;] WORD VALUE; ~REGEX VALUE; ~*REGEX VALUE; ... }",
			Help:   "Makes a variable whose value depends on TEXT, which has variables. Each line has a word and its value. The case of words does not matter. ~ begins a regular expression, ~* one that ignores case; the value may have its groups, as $1 or by name. An empty TEXT is not compared with regular expressions. A word wins over regular expressions; of these the first one that matches wins. After the line hostnames words may be *.example.com, .example.com and www.example.*; an exact name wins, and then the longest. default is the value if no line matches; without it that is the empty text. Values may have variables. A backslash makes the rest of the line's first text a word, even if it begins with ~ or is default, hostnames, volatile or include. include reads lines from a file. A request finds the value when it first needs it, and keeps it; with volatile it finds the value each time. The variable may be used anywhere, even above the map."},
	}}
}

// mapping is one map.
type mapping struct {
	source    *proxy.Template
	words     proxy.Hosts[*proxy.Template]
	hostnames bool
	patterns  []pattern
	other     *proxy.Template // the default value; nil: the block has none
	volatile  bool
}

// pattern is a line with a regular expression.
type pattern struct {
	regex *proxy.Regexp
	value *proxy.Template
}

func set(s *config.Scope, n *config.Node) error {
	l := s.Load()
	name, err := proxy.VariableName(n.Arg(1))
	if err != nil {
		return &config.Error{Pos: n.Args[1].Pos, Msg: err.Error()}
	}
	m := &mapping{source: proxy.ParseTemplate(l, n.Args[0].Pos, n.Arg(0))}
	for _, line := range n.Children {
		l.FailWith(line.Pos, m.add(l, line))
	}
	if m.other == nil {
		m.other = proxy.FixedTemplate("")
	}
	if err := proxy.DefineRule(l, n.Args[1].Pos, name, !m.volatile, m.find); err != nil {
		return &config.Error{Pos: n.Args[1].Pos, Msg: err.Error()}
	}
	return nil
}

// add reads a line of the block.
func (m *mapping) add(l *config.Load, n *config.Node) error {
	switch {
	case n.Block:
		return fmt.Errorf("unexpected block in map; a line is a word and a value")
	case len(n.Args) == 0 && n.Name == "hostnames":
		m.hostnames = true
		return nil
	case len(n.Args) == 0 && n.Name == "volatile":
		m.volatile = true
		return nil
	case len(n.Args) != 1:
		return fmt.Errorf("a line of map has %d words; it is a word and a value, or hostnames or volatile alone", len(n.Args)+1)
	}
	value := proxy.ParseTemplate(l, n.Args[0].Pos, n.Arg(0))
	if n.Name == "default" {
		if m.other != nil {
			return fmt.Errorf("duplicate default of map")
		}
		m.other = value
		return nil
	}
	if expr, ok := strings.CutPrefix(n.Name, "~"); ok {
		expr, fold := strings.CutPrefix(expr, "*")
		re, err := proxy.ParseRegexp(l, n.Pos, expr, fold)
		if err == nil {
			m.patterns = append(m.patterns, pattern{re, value})
		}
		return err
	}
	return m.addWord(strings.TrimPrefix(n.Name, `\`), value)
}

func (m *mapping) addWord(word string, value *proxy.Template) error {
	add, key := m.words.AddExact, string(appendLower(nil, []byte(word)))
	if m.hostnames {
		if err := proxy.CheckHost(word); err != nil {
			return err
		}
		add = m.words.Add
	}
	if _, taken := add(key, value); taken {
		return fmt.Errorf("conflicting parameter %q of map: an earlier line is for it", word)
	}
	return nil
}

// find is the Rule of the variable.
func (m *mapping) find(x *proxy.Exchange, scratch []byte) (*proxy.Template, error) {
	text := m.source.Append(x, scratch)[len(scratch):]
	if m.hostnames && len(text) > 0 && text[len(text)-1] == '.' {
		text = text[:len(text)-1]
	}
	lower := text
	if hasUpper(text) {
		lower = appendLower(text, text)[len(text):]
	}
	if v, ok := m.words.Find(unsafe.String(unsafe.SliceData(lower), len(lower))); ok {
		return v, nil
	}
	if len(text) > 0 {
		for _, p := range m.patterns {
			if ok, err := p.regex.MatchBytes(x, text); ok || err != nil {
				return p.value, err
			}
		}
	}
	return m.other, nil
}

func hasUpper(text []byte) bool {
	for _, c := range text {
		if c >= 'A' && c <= 'Z' {
			return true
		}
	}
	return false
}

// appendLower appends text with ASCII letters in lower case. As in nginx, other letters stay.
func appendLower(dst, text []byte) []byte {
	for _, c := range text {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
