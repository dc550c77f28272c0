package main

import (
	"errors"
	"fmt"
	"strings"
)

// splitArgs splits GUNICORN_CMD_ARGS into words as Python's shlex does: with a shell's
// quotes and backslashes, and nothing else.
func splitArgs(line string) ([]string, error) {
	s := splitter{}
	for _, c := range line {
		s.next(c)
	}
	switch {
	case s.escaped:
		return nil, errors.New("GUNICORN_CMD_ARGS: nothing follows the backslash at its end")
	case s.quote != 0:
		return nil, fmt.Errorf("GUNICORN_CMD_ARGS: the closing %c is missing", s.quote)
	}
	s.end()
	return s.words, nil
}

// splitter is the state between two characters.
type splitter struct {
	words   []string
	word    strings.Builder
	inWord  bool
	quote   rune // the open quote
	escaped bool // a backslash stands before the next character
}

func (s *splitter) next(c rune) {
	switch {
	case s.escaped:
		if s.quote == '"' && c != '"' && c != '\\' {
			s.word.WriteByte('\\')
		}
		s.word.WriteRune(c)
		s.escaped = false
	case c == '\\' && s.quote != '\'':
		s.escaped, s.inWord = true, true
	case s.quote != 0 && c == s.quote:
		s.quote = 0
	case s.quote == 0 && (c == '\'' || c == '"'):
		s.quote, s.inWord = c, true
	case s.quote == 0 && strings.ContainsRune(" \t\r\n", c):
		s.end()
	default:
		s.word.WriteRune(c)
		s.inWord = true
	}
}

func (s *splitter) end() {
	if s.inWord {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.inWord = false
}
