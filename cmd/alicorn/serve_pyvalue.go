package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// pythonValue is the value of a setting in a gunicorn.conf.py.
type pythonValue struct {
	kind   string // none, boolean, number, text, list, dict, function or other
	text   string
	number int64
	yes    bool
	items  []string
	pairs  map[string]string
}

// UnmarshalJSON reads [KIND, VALUE], as the evaluator writes it.
func (v *pythonValue) UnmarshalJSON(text []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil || len(parts) != 2 {
		return errors.New("a value is not [KIND, VALUE]")
	}
	if err := json.Unmarshal(parts[0], &v.kind); err != nil {
		return err
	}
	switch v.kind {
	case "none":
		return nil
	case "boolean":
		return json.Unmarshal(parts[1], &v.yes)
	case "number":
		return json.Unmarshal(parts[1], &v.number)
	case "list":
		return v.unmarshalItems(parts[1])
	case "dict":
		return json.Unmarshal(parts[1], &v.pairs)
	}
	return json.Unmarshal(parts[1], &v.text)
}

func (v *pythonValue) unmarshalItems(text []byte) error {
	var items []any
	if err := json.Unmarshal(text, &items); err != nil {
		return err
	}
	for _, item := range items {
		v.items = append(v.items, fmt.Sprint(item))
	}
	return nil
}

// words returns the value as words for the setting's flag, or an error where gunicorn
// would not accept it.
func (v *pythonValue) words(g gunicornSetting) ([]string, error) {
	if v.kind == "none" {
		return nil, nil
	}
	switch g.kind {
	case number:
		return v.number1()
	case boolean:
		return v.truth()
	case list:
		switch v.kind {
		case "list":
			return trimmed(v.items), nil
		case "text":
			return trimmed([]string{v.text})[:min(1, len(v.text))], nil
		}
		return nil, fmt.Errorf("invalid value %s: it takes a list of strings", v)
	case table:
		if v.kind != "dict" {
			return nil, fmt.Errorf("invalid value %s: it takes a dictionary", v)
		}
		var words []string
		for _, name := range sortedKeys(v.pairs) {
			words = append(words, name+"="+v.pairs[name])
		}
		return words, nil
	}
	return v.one(g)
}

// number1 returns a whole number. A string may have one, as a literal of Python's.
func (v *pythonValue) number1() ([]string, error) {
	switch v.kind {
	case "number":
		return []string{strconv.FormatInt(v.number, 10)}, nil
	case "boolean":
		if v.yes {
			return []string{"1"}, nil
		}
		return []string{"0"}, nil
	case "text":
		if n, err := strconv.ParseInt(strings.TrimSpace(v.text), 0, 64); err == nil {
			return []string{strconv.FormatInt(n, 10)}, nil
		}
	}
	return nil, fmt.Errorf("invalid value %s: it takes a whole number", v)
}

func (v *pythonValue) truth() ([]string, error) {
	word := strings.ToLower(strings.TrimSpace(v.text))
	switch {
	case v.kind == "boolean":
		return []string{strconv.FormatBool(v.yes)}, nil
	case v.kind == "number" && (v.number == 0 || v.number == 1):
		return []string{strconv.FormatBool(v.number == 1)}, nil
	case v.kind == "text" && (word == "true" || word == "false"):
		return []string{word}, nil
	}
	return nil, fmt.Errorf("invalid value %s: it takes True or False", v)
}

// one returns a string. Settings of users and groups also take a number.
func (v *pythonValue) one(g gunicornSetting) ([]string, error) {
	switch {
	case v.kind == "text":
		return trimmed([]string{v.text}), nil
	case v.kind == "number":
		return []string{strconv.FormatInt(v.number, 10)}, nil
	case v.kind == "list" && (g.name == "forwarded_allow_ips" || g.name == "proxy_allow_ips" || g.name == "forwarder_headers"):
		return []string{strings.Join(trimmed(v.items), ",")}, nil
	case g.why != "" || g.kind == class && v.kind == "function":
		return []string{v.String()}, nil
	}
	return nil, fmt.Errorf("invalid value %s: it takes a string", v)
}

// String returns the value for a message.
func (v *pythonValue) String() string {
	switch v.kind {
	case "none":
		return "None"
	case "boolean":
		if v.yes {
			return "True"
		}
		return "False"
	case "number":
		return strconv.FormatInt(v.number, 10)
	case "list":
		return fmt.Sprintf("%q", v.items)
	case "dict":
		return "a dictionary"
	case "function":
		return "a function"
	}
	return strconv.Quote(v.text)
}

func trimmed(words []string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = strings.TrimSpace(word)
	}
	return out
}
