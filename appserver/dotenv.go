package appserver

import (
	"errors"
	"fmt"
	"strings"

	"alicorn/config/osfile"
)

// parseDotenv reads the lines NAME=VALUE of a dotenv file: comments, "export",
// 'literal' and "escaped" values, which may span lines. Outside single quotes it
// replaces ${NAME} and ${NAME:-DEFAULT}, as python-dotenv and docker compose do, by the
// value from the lines above, or else from known (NAME=VALUE, the last one wins). unset has
// the numbers of lines with variables that are in neither. Variables for the dynamic loader
// are errors. Errors begin with the line's number. They quote nothing of the line, which may
// have a secret.
func parseDotenv(text string, known []string) (vars []string, unset []int, err error) {
	d := dotenv{text: strings.TrimPrefix(text, "\ufeff"), line: 1, known: map[string]string{}}
	for _, v := range known {
		name, value, _ := strings.Cut(v, "=")
		d.known[name] = value
	}
	for {
		d.skip(" \t\r\n")
		switch {
		case d.text == "":
			return vars, d.unset, nil
		case d.text[0] == '#':
			d.take(lineEnd(d.text))
			continue
		}
		line := d.line
		name, value, err := d.assignment()
		if err != nil {
			return nil, nil, fmt.Errorf("%d: %w", line, err)
		}
		vars = append(vars, name+"="+value)
		d.known[name] = value
	}
}

// dotenv reads the text of a dotenv file.
type dotenv struct {
	text     string // the rest, which is not read yet
	line     int    // the number of its first line
	known    map[string]string
	unset    []int // the numbers of lines
	expanded int   // bytes of all replacements
}

func (d *dotenv) take(n int) string {
	s := d.text[:n]
	d.line += strings.Count(s, "\n")
	d.text = d.text[n:]
	return s
}

func (d *dotenv) skip(set string) { d.take(len(d.text) - len(strings.TrimLeft(d.text, set))) }

func lineEnd(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i
	}
	return len(s)
}

func (d *dotenv) assignment() (name, value string, err error) {
	if rest, ok := strings.CutPrefix(d.text, "export"); ok && rest != "" && strings.IndexByte(" \t", rest[0]) >= 0 {
		d.take(len("export"))
		d.skip(" \t")
	}
	end := lineEnd(d.text)
	eq := strings.IndexByte(d.text[:end], '=')
	if eq < 0 {
		return "", "", errors.New("the line is not NAME=VALUE")
	}
	name = strings.TrimSpace(d.take(eq))
	d.take(1)
	switch {
	case !isEnvName(name):
		return "", "", errors.New("the text before \"=\" is not the name of an environment variable")
	case strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "DYLD_"):
		return "", "", errors.New("a name that begins with LD_ or DYLD_ is refused: it would change which libraries the worker's interpreter loads; set it with \"env\" if you mean that")
	}
	d.skip(" \t")
	value, err = d.value()
	if err == nil && strings.IndexByte(value, 0) >= 0 {
		err = errors.New("the value contains a NUL byte")
	}
	return name, value, err
}

func (d *dotenv) value() (string, error) {
	if d.text != "" && (d.text[0] == '"' || d.text[0] == '\'') {
		return d.quoted(d.text[0])
	}
	v := d.take(lineEnd(d.text))
	if strings.HasPrefix(v, "#") {
		return "", nil
	}
	for _, mark := range []string{" #", "\t#"} {
		if i := strings.Index(v, mark); i >= 0 {
			v = v[:i]
		}
	}
	v = strings.TrimSpace(v)
	var b strings.Builder
	for i := 0; i < len(v); {
		n, err := d.expand(&b, v[i:])
		if err != nil {
			return "", err
		}
		i += n
	}
	return b.String(), nil
}

// expand writes the value of the reference, or the byte, that s begins with, and returns
// its length in s. Text that only resembles a reference stands for itself.
func (d *dotenv) expand(b *strings.Builder, s string) (n int, err error) {
	end := strings.IndexByte(s, '}')
	if !strings.HasPrefix(s, "${") || end < 0 {
		b.WriteByte(s[0])
		return 1, nil
	}
	name, fallback, otherwise := strings.Cut(s[2:end], ":-")
	if !isEnvName(name) {
		b.WriteByte(s[0])
		return 1, nil
	}
	value, set := d.known[name]
	if otherwise && value == "" {
		value, set = fallback, true
	}
	if !set {
		d.unset = append(d.unset, d.line)
	}
	if d.expanded += len(value); d.expanded > osfile.MaxEnvironment {
		return 0, fmt.Errorf("the values of all references together are longer than %d bytes", osfile.MaxEnvironment)
	}
	b.WriteString(value)
	return end + 1, nil
}

func (d *dotenv) quoted(quote byte) (string, error) {
	d.take(1)
	var b strings.Builder
	for i := 0; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == quote:
			d.take(i + 1)
			rest := strings.TrimSpace(d.take(lineEnd(d.text)))
			if rest != "" && rest[0] != '#' {
				return "", errors.New("only a comment may follow the closing quote")
			}
			return b.String(), nil
		case c == '\\' && i+1 < len(d.text):
			i++
			unescape(&b, d.text[i], quote)
		case quote == '"':
			within, _, _ := strings.Cut(d.text[i:], `"`)
			n, err := d.expand(&b, within)
			if err != nil {
				return "", err
			}
			i += n - 1
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("the closing %c is missing", quote)
}

func unescape(b *strings.Builder, c, quote byte) {
	if quote == '"' {
		if i := strings.IndexByte(`nrt"\$`, c); i >= 0 {
			b.WriteByte("\n\r\t\"\\$"[i])
			return
		}
	} else if c == '\'' || c == '\\' {
		b.WriteByte(c)
		return
	}
	b.WriteByte('\\')
	b.WriteByte(c)
}

func isEnvName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '.' && c != '-' && !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
