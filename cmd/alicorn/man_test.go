package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestTheManualPagesHaveEveryVerbFlagAndDirective(t *testing.T) {
	t.Parallel()
	root := rootCommand()
	pages := manPages(root)
	requests := regexp.MustCompile(`^\.(TH|SH|TP|B|BR) ?|^\.TP$`)
	for name, text := range pages {
		for line := range strings.Lines(string(text)) {
			if (line[0] == '.' || line[0] == '\'') && !requests.MatchString(line) {
				t.Errorf("%s has the line %q, which would be a request of roff", name, line)
			}
		}
	}
	for _, verb := range root.Commands() {
		if text := string(pages["alicorn-"+verb.Name()+".1"]); verb.IsAvailableCommand() && !strings.Contains(text, roff(verb.Short)) {
			t.Errorf("the page of %q is %q", verb.Name(), text)
		}
	}
	if text := string(pages["alicorn-serve.1"]); !strings.Contains(text, ".B \\-w, \\-\\-workers N\n") {
		t.Errorf("the page of serve has no \"--workers\": %s; want %q in it", text, ".B \\-w, \\-\\-workers N\n")
	}
	for _, d := range manualSchema().Directives() {
		if !strings.Contains(string(pages["alicorn.conf.5"]), "\n.TP\n.B "+roff(d.Name)) {
			t.Errorf("the page of the configuration has no %q", d.Name)
		}
		if !strings.Contains(string(pages["alicorn.conf.5"]), roff(d.Help)) {
			t.Errorf("the page of the configuration does not have %q as it is in %s", d.Name, d.Where())
		}
	}
}

func TestRoffHasTextMeanItself(t *testing.T) {
	t.Parallel()
	if got, want := roff(".\\x-1\n'a"), "\\&.\\ex\\-1\n\\&'a"; got != want {
		t.Errorf("it writes %q, want %q", got, want)
	}
}
