package config

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxWord bounds the length of a word in bytes, without its quotes. nginx allows 4096.
const maxWord = 4 * 4096

type tokenKind byte

const (
	tokenEnd     tokenKind = iota // of the file
	tokenWord                     // a name or an argument
	tokenComment                  // text from '#' to the end of the line
	tokenSemi
	tokenOpen
	tokenClose
)

// token is one piece of a file.
type token struct {
	kind     tokenKind
	text     string // the value of a word; the text of a comment
	raw      string // a word as written
	quote    byte   // '"', '\'' or 0
	pos      Pos
	newlines int // the number of line ends between it and the token before
}

// lexer cuts a file into tokens exactly where nginx's ngx_conf_read_token does, except at
// the "{" of a regular expression, which is a mistake in both. It records mistakes in
// errs, and goes on where the next directive may begin.
type lexer struct {
	file string
	src  []byte
	at   int // offset of the next byte
	line int
	bol  int // offset of the line's first byte
	errs *Errors

	closed bool // the last token was a quoted word, so white space must follow
	force  bool // the last word was cut off, so a ';' follows in its place
}

func newLexer(file string, src []byte, errs *Errors) *lexer {
	return &lexer{file: file, src: bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")), line: 1, errs: errs}
}

func (l *lexer) pos() Pos { return Pos{File: l.file, Line: l.line, Col: l.at - l.bol + 1} }

// next returns the next token. At the end of the file each call returns tokenEnd.
func (l *lexer) next() token {
	if l.force {
		l.force = false
		return token{kind: tokenSemi, pos: l.pos()}
	}
	if l.closed {
		l.closed = false
		l.checkGap()
	}
	t := token{newlines: l.skipSpace(), pos: l.pos()}
	if l.at == len(l.src) {
		return t
	}
	switch l.src[l.at] {
	case ';':
		t.kind = tokenSemi
	case '{':
		t.kind = tokenOpen
	case '}':
		t.kind = tokenClose
	case '#':
		t.kind = tokenComment
		line, _, _ := bytes.Cut(l.src[l.at:], []byte("\n"))
		l.at += len(line)
		t.text = strings.TrimRight(string(line), " \t\r")
		return t
	default:
		t.kind = tokenWord
		l.word(&t)
		return t
	}
	l.at++
	return t
}

// skipSpace skips white space and returns the number of line ends in it.
func (l *lexer) skipSpace() int {
	newlines := 0
	for l.at < len(l.src) && isSpace(l.src[l.at]) {
		l.at++
		if l.src[l.at-1] == '\n' {
			newlines++
			l.line++
			l.bol = l.at
		}
	}
	return newlines
}

// word reads the word that begins here into t.
func (l *lexer) word(t *token) {
	start := l.at
	if c := l.src[start]; c == '"' || c == '\'' {
		t.quote = c
		start++
	}
	end, ok := l.wordEnd(start, t.quote)
	if brace := bytes.IndexByte(l.src[start:end], '{'); ok && t.quote == 0 && brace >= 0 && l.isRepetition(start, start+brace) {
		l.errs.Add(t.pos, `the "{" of a regular expression ends a word that is not in quotes: write "%s"`, withoutParen(l.src[start:end]))
	}
	if t.quote != 0 {
		if !ok || !l.closes(l.at, end) {
			l.cut(t, start, end, ok)
			return
		}
		l.closed = true
	} else if !ok {
		l.errs.Add(t.pos, "word is longer than %d bytes: \"%.10s...\"", maxWord, l.src[start:])
		// Other mistakes may name the word: they show its beginning.
		t.raw = string(l.src[start : start+10])
		t.text = t.raw + "..."
		l.moveTo(end)
		return
	}
	t.text = unescape(string(l.src[start:end]))
	if t.quote != 0 {
		end++
	}
	t.raw = string(l.src[l.at:end])
	l.moveTo(end)
}

// wordEnd returns the offset of the first byte after the content of the word that begins
// at start. It returns false if the word is longer than maxWord bytes, or has no closing
// quote.
func (l *lexer) wordEnd(start int, quote byte) (int, bool) {
	variable := false
	for i := start; i < len(l.src); i++ {
		if quote != 0 && i-start >= maxWord {
			return i, false
		}
		c := l.src[i]
		if c == '{' && (variable || quote == 0 && l.isRepetition(start, i)) {
			continue
		}
		variable = c == '$'
		switch {
		case c == '\\':
			i++
		case quote != 0 && c == quote,
			quote == 0 && (isSpace(c) || c == ';' || c == '{'):
			return i, i-start < maxWord
		}
	}
	return len(l.src), quote == 0 && len(l.src)-start < maxWord
}

// repetition matches braces of a regular expression: a count ("{2,3}"), the number of a
// character ("\x{e4}"), or the name of a Unicode class or a group.
var repetition = regexp.MustCompile(`^\{([0-9]+(,[0-9]*)?|,[0-9]+)\}|^\{[A-Za-z0-9_^]+\}`)

// isRepetition reports whether the "{" at i, in the word that begins at start,
// belongs to a regular expression and does not open a block.
func (l *lexer) isRepetition(start, i int) bool {
	if i == start {
		return false
	}
	m := repetition.FindSubmatchIndex(l.src[i:min(len(l.src), i+maxRepetition)])
	switch {
	case m == nil:
		return false
	case m[2] >= 0: // of digits
		return true
	}
	return i-start >= 2 && l.src[i-2] == '\\' && strings.IndexByte("pPxkg", l.src[i-1]) >= 0
}

// withoutParen returns the word without the ")" that ends the condition of an if.
func withoutParen(word []byte) []byte {
	if bytes.Count(word, []byte{')'}) > bytes.Count(word, []byte{'('}) {
		return bytes.TrimSuffix(word, []byte{')'})
	}
	return word
}

// maxRepetition bounds the bytes of a repetition.
const maxRepetition = 40

// closes reports whether the quote at end closes the word that begins at open. Otherwise a
// closing quote is missing, and the one at end probably opens another word.
func (l *lexer) closes(open, end int) bool {
	return l.gapAt(end+1) || !bytes.ContainsRune(l.src[open:end], '\n')
}

// gapAt reports whether the byte at offset i may follow a closing quote.
func (l *lexer) gapAt(i int) bool {
	return i >= len(l.src) || isSpace(l.src[i]) || strings.IndexByte(";{)", l.src[i]) >= 0
}

// checkGap records a mistake if a byte that must not follow a closing quote does. The
// byte is then read as the beginning of the next word.
func (l *lexer) checkGap() {
	if !l.gapAt(l.at) {
		l.errs.Add(l.pos(), "unexpected %s after a closing quote", l.show(l.at))
	}
}

// cut ends a string without a closing quote on the line where it begins: before a ';' or
// '{' at the end of that line, otherwise with the line.
func (l *lexer) cut(t *token, start, end int, found bool) {
	name := `'"'`
	if t.quote == '\'' {
		name = `"'"`
	}
	switch {
	case found:
		l.errs.Add(t.pos, "string has no closing %s: it would end at line %d, directly before %s",
			name, l.line+bytes.Count(l.src[start:end], []byte("\n")), l.show(end+1))
	case end-start >= maxWord:
		l.errs.Add(t.pos, "string is longer than %d bytes; it probably has no closing %s", maxWord, name)
	default:
		l.errs.Add(t.pos, "string has no closing %s", name)
	}
	line, _, _ := bytes.Cut(l.src[start:], []byte("\n"))
	line = bytes.TrimRight(line, " \t\r")
	if n := len(line) - 1; n >= 0 && (line[n] == ';' || line[n] == '{') {
		line = line[:n]
	} else {
		l.force = true
	}
	t.text = string(line)
	t.raw = string(l.src[l.at : start+len(line)])
	l.moveTo(start + len(line))
}

// show quotes the character at offset i for a message.
func (l *lexer) show(i int) string {
	_, size := utf8.DecodeRune(l.src[i:])
	return `"` + string(l.src[i:i+size]) + `"`
}

// moveTo goes on at offset i.
func (l *lexer) moveTo(i int) {
	passed := l.src[l.at:i]
	if n := bytes.LastIndexByte(passed, '\n'); n >= 0 {
		l.line += bytes.Count(passed, []byte("\n"))
		l.bol = l.at + n + 1
	}
	l.at = i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// unescape resolves \" \' \\ \t \r \n. Other backslashes stay, for regular expressions.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			if k := strings.IndexByte(`"'\trn`, s[i+1]); k >= 0 {
				c = "\"'\\\t\r\n"[k]
				i++
			}
		}
		out = append(out, c)
	}
	return string(out)
}
