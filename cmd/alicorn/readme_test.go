package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readmeCommand is a command of ours on a line of the README's, or in its text.
var readmeCommand = regexp.MustCompile("(?m)(?:^ {4}|^|`)(?:sudo )?(?:\\./)?alicorn((?: [^`#\n]*)?)")

// Who pastes a command from the README must not be told that it does not exist.
func TestTheCommandsOfTheREADMEExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(sourceRoot, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := readmeCommand.FindAllStringSubmatch(string(text), -1)
	if len(commands) < 20 {
		t.Fatalf("the README has the commands %q, want at least 20 of them", commands)
	}
	for _, m := range commands {
		words := strings.Fields(strings.NewReplacer("[", "", "]", "", "...", "").Replace(m[1]))
		cmd, args, err := rootCommand().Find(words)
		if len(words) > 0 && words[0] == "help" {
			continue // cobra adds it when it runs
		}
		if err == nil {
			err = cmd.ParseFlags(args)
		}
		if err != nil || len(words) > 0 && cmd == cmd.Root() && !strings.HasPrefix(words[0], "-") {
			t.Errorf("the README's %q is no command: %v", m[0], err)
		}
	}
}

// The README names only directives that there are, but for what it says is missing.
func TestTheDirectivesOfTheREADMEExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(sourceRoot, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, d := range manualSchema().Directives() {
		known[d.Name] = true
	}
	_, limits, _ := strings.Cut(string(text), "\n## Limits and users\n")
	limits, _, _ = strings.Cut(limits, "\n## ")
	rows := regexp.MustCompile("(?m)^\\|.*\\| `([a-z_]+)` \\|$").FindAllStringSubmatch(limits, -1)
	if len(rows) < 5 {
		t.Fatalf("the README's limits are %q", rows)
	}
	for _, row := range rows {
		if !known[row[1]] {
			t.Errorf("the README's limit %q is no directive", row[1])
		}
	}
	_, missing, _ := strings.Cut(string(text), "\n## What it does not do yet\n")
	missing, _, _ = strings.Cut(missing, "\n## ")
	for _, m := range regexp.MustCompile("`([a-z]+_?[a-z_]*)`").FindAllStringSubmatch(missing, -1) {
		if name := m[1]; known[name] && name != "app_pass" {
			t.Errorf("the README says that %q is missing, and it is there", name)
		}
	}
}
