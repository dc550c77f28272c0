package proxy

import (
	"fmt"
	"regexp"
	"time"

	regexp2 "github.com/dlclark/regexp2/v2"

	"alicorn/config"
)

// Regexp is a PCRE pattern, as nginx's configurations have them. Go's regexp matches it in
// linear time if it can. A pattern that needs lookaround or back-references has a
// backtracking engine with a time limit. A match that runs out of time makes the request
// fail, and does not count as "no match": a client can make a match take long, and "no
// match" may let it in. After such a match the next ones get less time; see turns.
type Regexp struct {
	Pattern string
	pos     config.Pos
	fast    *regexp.Regexp
	slow    *regexp2.Regexp // the backtracking engine; nil if fast is set
	wary    *regexp2.Regexp // the same with a shorter limit
	turns   turns           // of the backtracking engine
	names   []string        // group names by number; "" for unnamed
	slots   []int           // variable slot of each group; -1 for unnamed
}

// SetRegexpClock makes time limits of matches exact to 2 ms; without it they are exact to
// 100 ms. A program calls it once, before it matches anything.
func SetRegexpClock() { regexp2.SetTimeoutCheckPeriod(2 * time.Millisecond) }

// CompileRegexp compiles the pattern of the directive at pos. fold makes it ignore case,
// as "~*" does.
func CompileRegexp(pos config.Pos, pattern string, fold bool) (*Regexp, error) {
	r := &Regexp{Pattern: pattern, pos: pos}
	p := pattern
	if fold {
		p = "(?i)" + p
	}
	if re, err := regexp.Compile(p); err == nil {
		r.fast, r.names = re, re.SubexpNames()
		return r, nil
	}
	opts := regexp2.RegexOptions(regexp2.RE2) // its character classes are PCRE's
	if fold {
		opts |= regexp2.IgnoreCase
	}
	for limit, engine := range map[time.Duration]**regexp2.Regexp{regexpTimeout: &r.slow, waryTimeout: &r.wary} {
		re, err := regexp2.Compile(pattern, opts, regexp2.OptionMaintainCaptureOrder())
		if err != nil {
			return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
		}
		re.MatchTimeout = limit
		*engine = re
	}
	r.turns = newTurns()
	for _, n := range r.slow.GetGroupNumbers() {
		name := r.slow.GroupNameFromNumber(n)
		if len(name) > 0 && name[0] >= '0' && name[0] <= '9' {
			name = ""
		}
		r.names = append(r.names, name)
	}
	return r, nil
}

// Backtracking reports whether the pattern needs the backtracking engine.
func (r *Regexp) Backtracking() bool { return r.slow != nil }

// MatchString reports whether the pattern occurs in text. It captures nothing. x is the
// Exchange on whose goroutine it runs, which may have to wait; nil if the caller leads no
// loop. The error is a *Fail.
func (r *Regexp) MatchString(x *Exchange, text string) (ok bool, err error) {
	if r.fast != nil {
		return r.fast.MatchString(text), nil
	}
	err = r.backtrack(x, text, func(engine *regexp2.Regexp) (err error) {
		ok, err = engine.MatchString(text)
		return err
	})
	return ok, err
}

// Match reports whether the pattern occurs in text. If so, it sets x's $1 to $9 and the
// variables of named groups. The error is a *Fail.
func (r *Regexp) Match(x *Exchange, text string) (bool, error) {
	if r.fast != nil {
		return r.matchFast(x, text), nil
	}
	var m *regexp2.Match
	err := r.backtrack(x, text, func(engine *regexp2.Regexp) (err error) {
		m, err = engine.FindStringMatch(text)
		return err
	})
	if err != nil || m == nil {
		return false, err
	}
	x.captures = x.captures[:0]
	for i, g := range m.Groups() {
		x.captures = append(x.captures, g.String())
		r.name(x, i, g.String())
	}
	return true, nil
}

// NumGroups returns the number of groups in the pattern, named ones too.
func (r *Regexp) NumGroups() int { return len(r.names) - 1 }

// Groups returns the first match in text and then its groups; nil if there is no match. It
// sets no variable. The pattern must not be Backtracking.
func (r *Regexp) Groups(text string) []string { return r.fast.FindStringSubmatch(text) }

// MatchBytes is Match for a text that the caller may change afterwards.
func (r *Regexp) MatchBytes(x *Exchange, text []byte) (bool, error) {
	switch {
	case r.fast == nil:
		return r.Match(x, string(text))
	case len(r.names) == 1:
		return r.matched(x, r.fast.Match(text)), nil
	}
	loc := r.fast.FindSubmatchIndex(text)
	if loc != nil {
		r.capture(x, string(text), loc)
	}
	return loc != nil, nil
}

func (r *Regexp) matchFast(x *Exchange, text string) bool {
	if len(r.names) == 1 {
		return r.matched(x, r.fast.MatchString(text))
	}
	loc := r.fast.FindStringSubmatchIndex(text)
	if loc != nil {
		r.capture(x, text, loc)
	}
	return loc != nil
}

// matched returns ok, the result for a pattern without groups. As in nginx, a match makes
// x forget the groups of an earlier match.
func (r *Regexp) matched(x *Exchange, ok bool) bool {
	if ok {
		x.captures = x.captures[:0]
	}
	return ok
}

// capture sets x's $1 to $9 and the variables of named groups to the groups at loc.
func (r *Regexp) capture(x *Exchange, text string, loc []int) {
	x.captures = x.captures[:0]
	for i := 0; i < len(loc); i += 2 {
		group := ""
		if loc[i] >= 0 {
			group = text[loc[i]:loc[i+1]]
		}
		x.captures = append(x.captures, group)
		r.name(x, i/2, group)
	}
}

// ForgetCaptures makes $1 to $9 not found, as nginx's if and rewrite do if they do not
// match.
func (x *Exchange) ForgetCaptures() { x.captures = x.captures[:0] }

func (r *Regexp) name(x *Exchange, group int, value string) {
	if group < len(r.slots) && r.slots[group] >= 0 {
		x.SetVar(r.slots[group], value)
	}
}
