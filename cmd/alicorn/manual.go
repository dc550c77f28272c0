package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"alicorn/appserver"
	"alicorn/config"
	"alicorn/proxy"

	"github.com/spf13/cobra"
)

// manualSchema returns the Schema for help and check -v.
func manualSchema() *config.Schema {
	p := &program{}
	return schemaOf(modules(p.features(appserver.NewRuntime(appserver.Options{}))), newProcess())
}

// printManual prints every entry of the directive's name: one directive may
// mean different things in different blocks.
func printManual(w io.Writer, name string) error {
	var names []string
	found := false
	for _, d := range manualSchema().Directives() {
		names = append(names, d.Name)
		if d.Name == name {
			found = true
			printEntry(w, d)
		}
	}
	if found {
		return nil
	}
	if what := proxy.NginxDirective(name); what != "" {
		return &exitError{exitUsage, errors.New(what)}
	}
	return &exitError{exitUsage, fmt.Errorf("%q is neither a verb nor a directive; %s", name, meantBy(name, names))}
}

// meantBy returns a hint for an unknown name: the names that may be meant, or where all are listed.
func meantBy(name string, names []string) string {
	if near := config.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if near := proxy.NginxDirectiveNear(name); near != "" {
		return near
	}
	alike := mostSimilar(name, names)
	if len(alike) == 0 || len(alike) > mostAlike {
		return "\"alicorn directives\" lists all directives"
	}
	return "directives that share a word with it: " + strings.Join(alike, ", ")
}

// mostSimilar returns the names that share the most words with name, one of them no short one.
func mostSimilar(name string, names []string) (alike []string) {
	words, most := strings.Split(name, "_"), 0
	for _, known := range names {
		shared, long := 0, false
		for part := range strings.SplitSeq(known, "_") {
			if slices.Contains(words, part) {
				shared++
				long = long || len(part) >= 4
			}
		}
		switch {
		case !long || shared < most || slices.Contains(alike, known):
		case shared > most:
			most, alike = shared, []string{known}
		default:
			alike = append(alike, known)
		}
	}
	return alike
}

// mostAlike bounds the directives that a message names.
const mostAlike = 8

func directivesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "directives [WORD]", Short: "List the directives, or those with WORD in their names or descriptions", Args: cobra.MaximumNArgs(1),
		Long: "Lists the directives of configurations, each with the first sentence of its description; with WORD those whose name or\n" +
			"description contains it. \"alicorn help DIRECTIVE\" prints the whole entry.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return listDirectives(cmd.OutOrStdout(), strings.Join(args, ""))
		},
	}
}

// listDirectives prints a line for each directive that contains word.
func listDirectives(w io.Writer, word string) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	all := directivesWith(word)
	for _, d := range all {
		text, _, _ := strings.Cut(d.Help, ". ")
		if d.NoEffect {
			text = "accepted without effect: " + text
		}
		fmt.Fprintf(t, "%s\t%s\n", d.Name, strings.TrimSuffix(text, "."))
	}
	if len(all) == 0 {
		return &exitError{exitUsage, fmt.Errorf("no directive has %q in its name or description", word)}
	}
	return failed(t.Flush())
}

// directivesWith returns the directives that contain word, by name. A name that
// means different things in different blocks is there for each of them.
func directivesWith(word string) (all []*config.Directive) {
	for _, d := range manualSchema().Directives() {
		if strings.Contains(d.Name, word) || strings.Contains(strings.ToLower(d.Help), strings.ToLower(word)) {
			all = append(all, d)
		}
	}
	return all
}

func printEntry(w io.Writer, d *config.Directive) {
	end := ";"
	if d.Block {
		end = " { ... }"
	}
	fmt.Fprintf(w, "Syntax:   %s%s\n", strings.TrimSpace(d.Name+" "+d.Syntax), end)
	if d.Default != "" {
		fmt.Fprintf(w, "Default:  %s\n", d.Default)
	}
	fmt.Fprintf(w, "Context:  %s\n", d.Where())
	if d.NoEffect {
		fmt.Fprint(w, "Accepted without effect: ")
	}
	fmt.Fprintf(w, "\n%s\n\n", wrap(d.Help, 78))
}

// wrap breaks text into lines of at most width bytes where words allow it.
func wrap(text string, width int) string {
	var b strings.Builder
	col := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case col == 0:
		case col+1+len(word) > width:
			b.WriteByte('\n')
			col = 0
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += len(word)
	}
	return b.String()
}
