// Package rewrite is nginx's rewrite module. Before a content handler runs, it changes a
// request's path, ends the request, or chooses other settings.
//
// The directives if, set, rewrite, break and return of a block are compiled to one program,
// in the order of the file. An if block is part of the program of the block around it. A
// server's program runs before the location is found, and again after each internal
// redirect to a path. A location's program runs when the location is found. If it changes
// the path, the location is found again, at most 10 times. Programs are immutable, have no
// loops, and end with the first return, break, or rewrite with a flag.
//
// An if block in a location is a location of its own. Its settings apply once its condition
// holds; if several hold, the last block wins. An if block in a server has rewriting
// directives only.
//
// Differences from nginx: control bytes in a Location are encoded; a path without a slash
// at the beginning names no file; an if block may set rewrite_log; after break, a changed
// path that the location's alias does not cover is answered with 404.
package rewrite

import (
	"alicorn/config"
	"alicorn/proxy"
)

type settings struct {
	steps     config.List[step]
	condition condition // the condition of an if block
	log       bool      // rewrite_log
	warn      bool      // uninitialized_variable_warn
}

// step is a directive of a block, with its instruction.
type step struct {
	node *config.Node
	do   instruction
}

type module struct{ k *config.Key[settings] }

// Module returns the feature.
func Module() proxy.Module {
	m := module{config.NewKey(func() settings { return settings{warn: true} })}
	m.k.Enter = func(_ *config.Scope, c *settings) { c.steps, c.condition = config.List[step]{}, nil }
	return proxy.Module{Name: "rewrite", Settings: m.k, Directives: m.directives(), Compile: m.compile}
}

// blocks are the blocks that rewriting directives may stand in.
const blocks = config.Server | config.ServerIf | config.Location | config.LocationIf

func (m module) directives() []config.Directive {
	const ifSyntax = "($VARIABLE) | ($VARIABLE = TEXT) | ($VARIABLE != TEXT) | ($VARIABLE ~ REGEX) | (-f FILE)"
	const ifHelp = "Applies the block if the condition holds. A variable alone holds if it is neither empty nor 0. = and != compare texts. ~ and ~* (which ignores case) match a regular expression, whose groups become $1 to $9; !~ and !~* are the opposite. -f tests for a file, -d for a folder, -e for either, -x for an executable; ! before them is the opposite. "
	return []config.Directive{
		{Name: "if", In: config.Server, Block: true, Opens: config.ServerIf, Args: config.SomeArg, Repeat: true, Syntax: ifSyntax, Set: m.setIf,
			Help: ifHelp + "In a server the block may have rewriting directives only."},
		{Name: "if", In: config.Location, Block: true, Opens: config.LocationIf, Args: config.SomeArg, Repeat: true, Syntax: ifSyntax, Set: m.setIf,
			Help: ifHelp + "In a location the block is a location of its own, with settings and content. The last block whose condition holds is in effect. As in nginx, it does not inherit try_files."},
		{Name: "set", In: blocks, Args: config.TwoArgs, Repeat: true, Syntax: "$VARIABLE VALUE", Set: m.add(newAssignment),
			Help: "Sets a variable for the rest of the request. The value may have variables. Of the server's own variables only $args and $limit_rate may be set. A variable that is read before it is set is empty."},
		{Name: "rewrite", In: blocks, Args: config.Arity{Min: 2, Max: 3}, Repeat: true, Syntax: "REGEX REPLACEMENT [last | break | redirect | permanent]", Set: m.add(newRule),
			Help: "Changes the path if REGEX matches it. The path is decoded and normalised. The replacement may have captures and variables. Its arguments come before those of the request; a ? at its end drops the request's. last ends rewriting and finds the location for the new path. break ends rewriting and stays in the location. redirect answers with 302, permanent with 301; a replacement that begins with http://, https:// or $scheme answers with 302. Without a flag the next directives see the new path, and the location is found after the last directive. A request that changes its location more than 10 times is answered with 500."},
		{Name: "break", In: blocks, Args: config.NoArgs, Repeat: true, Set: m.add(func(*config.Scope, *config.Node) (instruction, error) { return stop{}, nil }),
			Help: "Ends rewriting in this server or location. The location serves the path, even one that rewrite has changed."},
		{Name: "return", In: blocks, Args: config.Arity{Min: 1, Max: 2}, Repeat: true, Syntax: "CODE [TEXT] | CODE URL | URL", Set: m.add(newAnswer),
			Help: "Ends the request: with the status page or error_page of CODE, with a text, or with a redirect. 301, 302, 303, 307 and 308 redirect to URL; a URL alone redirects with 302. 444 closes the connection without a response."},
		{Name: "rewrite_log", In: config.HTTP | blocks, Args: config.OneArg, Syntax: "on | off", Default: "off", Set: config.Flag(m.k, func(c *settings) *bool { return &c.log }),
			Help: "Logs at the level notice what rewrite, and if with a regular expression, do."},
		{Name: "uninitialized_variable_warn", In: config.HTTP | blocks, Args: config.OneArg, Syntax: "on | off", Default: "on",
			Set:  config.Flag(m.k, func(c *settings) *bool { return &c.warn }),
			Help: "Logs at the level warn if a request reads a variable before set has given it a value: once for each variable."},
	}
}

// add returns the Setter of a directive that is one instruction.
func (m module) add(make func(s *config.Scope, n *config.Node) (instruction, error)) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		do, err := make(s, n)
		if err != nil {
			return err
		}
		m.k.In(s).steps.Add(s, step{n, do})
		return nil
	}
}

func (m module) compile(s *config.Scope, l *proxy.Location) error {
	c := m.k.In(s)
	l.Core.WarnUnset = c.warn
	if s.Context == config.LocationIf {
		return nil // its instructions are in the program of the location around it
	}
	code := m.code(s, l)
	if len(code) == 0 {
		return nil
	}
	p := program{code, c.log}
	if l.Kind == proxy.LocationServer {
		l.On(proxy.ServerRewrite, p.runServer)
	} else {
		l.On(proxy.Rewrite, p.runLocation)
	}
	return nil
}

// code returns the instructions and the if blocks of a block, in the order of the file.
func (m module) code(s *config.Scope, l *proxy.Location) []instruction {
	steps, inner := m.k.In(s).steps.Items(), s.Blocks
	var code []instruction
	for _, n := range s.Node.Children {
		switch {
		case len(steps) > 0 && steps[0].node == n:
			code, steps = append(code, steps[0].do), steps[1:]
		case len(inner) > 0 && inner[0].Node == n:
			if c := m.k.In(inner[0]); c.condition != nil {
				code = append(code, branch{c.condition, m.code(inner[0], l), l.Branch(inner[0]), c.log})
			}
			inner = inner[1:]
		}
	}
	return code
}
