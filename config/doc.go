// Package config is the configuration language: nginx's grammar, and what gives
// directives their meaning.
//
// The model, from text to settings:
//
//	Parse, Load      text, with includes, becomes a tree of Nodes that know their place
//	Schema           which directives exist, where they may stand, what sets them
//	Scope            one block being read: a copy of its parent's settings
//	Key[T]           one feature's typed settings inside every Scope
//	Load             one reading: errors, warnings, deferred checks, Resources
//
// A block's settings start as a copy of its parent's, taken after all the
// parent's simple directives, so the order inside a block does not matter.
// There are no merge functions and no unset values: a block inherits every
// setting that it does not change. All mistakes are reported, each with its
// position. The package knows no request, and no directive but include: features
// declare their directives, and the blocks that are theirs alone, beside their
// behaviour.
package config

// Files, in the order of the story:
//
//   - lex.go parse.go node.go include.go print.go: the language
//   - schema.go suggest.go scope.go key.go: what its words mean
//   - setters.go value.go: the kinds of settings
//   - resources.go: what outlives a reload
