package proxy

import (
	"fmt"
	"maps"
	"strings"

	"alicorn/config"
)

// Types maps file extensions in lower case to content types.
type Types struct {
	byExtension map[string]string
}

// builtinTypes are the Types of mimeTypes. All configurations share them.
var builtinTypes = &Types{byExtension: func() map[string]string {
	t := make(map[string]string, len(mimeTypes))
	for _, m := range mimeTypes {
		t[m.extension] = m.contentType
	}
	return t
}()}

// MimeTypesFile returns the built-in types as a configuration file, for
// "include mime.types" where there is none on disk.
func MimeTypesFile() []byte {
	b := []byte("types {\n")
	for _, m := range mimeTypes {
		b = fmt.Appendf(b, "    %s %s;\n", m.contentType, m.extension)
	}
	return append(b, "}\n"...)
}

// TypeOf returns the content type for path: that of its extension, whose case does not
// matter; if it has no known extension, default_type.
func (c *Core) TypeOf(path string) string {
	dot := strings.LastIndexByte(path, '.')
	if dot < 0 || strings.IndexByte(path[dot:], '/') >= 0 {
		return c.DefaultType
	}
	ext := path[dot+1:]
	t, ok := c.types.byExtension[ext]
	if !ok {
		t, ok = c.types.byExtension[strings.ToLower(ext)]
	}
	if !ok {
		return c.DefaultType
	}
	return t
}

// setTypes reads a types block. The first types block of a block replaces the inherited
// types; the others add to it. At the top of a file without http { } all of them add to
// the built-in types: nginx includes such a file where mime.types is in effect.
func (m core) setTypes(s *config.Scope, n *config.Node) error {
	c := m.settings.In(s)
	if c.typesOf != s {
		c.types, c.typesOf = &Types{byExtension: map[string]string{}}, s
		if s.Parent == nil {
			c.types.byExtension = maps.Clone(builtinTypes.byExtension)
		}
	}
	for _, line := range n.Children {
		if line.Block || len(line.Args) == 0 {
			return &config.Error{Pos: line.Pos, Msg: "a line of types is TYPE EXTENSION ...;"}
		}
		for _, ext := range line.Args {
			c.types.byExtension[strings.ToLower(ext.Text)] = line.Name
		}
	}
	return nil
}
