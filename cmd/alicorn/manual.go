package main

import (
	"fmt"
	"io"
	"strings"

	"alicorn/appserver"
	"alicorn/config"
)

// manualSchema is the Schema as help and check -v see it.
func manualSchema() *config.Schema {
	p := &program{maxBody: 1 << 20}
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
	err := fmt.Errorf("there is no verb and no directive %q", name)
	if near := config.Nearest(name, names); near != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, near)
	}
	return &exitError{exitUsage, err}
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
	fmt.Fprintf(w, "Context:  %s\n", d.In)
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
