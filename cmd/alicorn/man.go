package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"alicorn/config"
	"alicorn/proxy"
)

// manCommand writes the manual pages that a package installs.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIRECTORY", Short: "Write the manual pages into DIRECTORY", Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, text := range manPages(cmd.Root()) {
				if err := os.WriteFile(filepath.Join(args[0], name), text, 0o644); err != nil {
					return failed(fmt.Errorf("cannot write a manual page: %w", err))
				}
			}
			return nil
		},
	}
}

// manPages returns the pages by file name: the program's, one for each verb, and
// that of the configuration.
func manPages(root *cobra.Command) map[string][]byte {
	pages := map[string][]byte{"alicorn.1": manOfProgram(root), "alicorn.conf.5": manOfDirectives()}
	for _, verb := range root.Commands() {
		if verb.IsAvailableCommand() {
			pages["alicorn-"+verb.Name()+".1"] = manOfVerb(verb)
		}
	}
	return pages
}

// page is a manual page in man(7)'s language.
type page struct{ bytes.Buffer }

func newPage(name, section, short string) *page {
	p := new(page)
	fmt.Fprintf(p, ".TH %s %s \"\" \"alicorn %s\"\n.SH NAME\n%s \\- ", strings.ToUpper(name), section, proxy.Version, roff(name))
	p.text(short)
	return p
}

// roff escapes text: a backslash, or a control character at the start of a line,
// would be a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

func (p *page) section(name string)        { fmt.Fprintf(p, ".SH %s\n", name) }
func (p *page) text(text string)           { fmt.Fprintf(p, "%s\n", roff(text)) }
func (p *page) item(head, text string)     { fmt.Fprintf(p, ".TP\n.B %s\n%s\n", roff(head), roff(text)) }
func (p *page) refer(name, section string) { fmt.Fprintf(p, ".BR %s (%s)\n", roff(name), section) }
func (p *page) option(f *pflag.Flag) {
	kind, usage := pflag.UnquoteUsage(f)
	head := "    --" + f.Name
	if f.Shorthand != "" {
		head = "-" + f.Shorthand + ", --" + f.Name
	}
	p.item(strings.TrimSpace(head+" "+kind), usage)
}

// usage prints the synopsis and the flags of a command.
func (p *page) usage(cmd *cobra.Command) {
	p.section("SYNOPSIS")
	fmt.Fprintf(p, ".B %s\n", roff(cmd.UseLine()))
	if cmd.Long != "" {
		p.section("DESCRIPTION")
		p.text(cmd.Long)
	}
	if cmd.LocalFlags().HasAvailableFlags() {
		p.section("OPTIONS")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				p.option(f)
			}
		})
	}
}

func manOfVerb(verb *cobra.Command) []byte {
	p := newPage("alicorn-"+verb.Name(), "1", verb.Short)
	p.usage(verb)
	p.section("SEE ALSO")
	p.refer("alicorn", "1")
	p.refer("alicorn.conf", "5")
	return p.Bytes()
}

func manOfProgram(root *cobra.Command) []byte {
	p := newPage("alicorn", "1", root.Short)
	p.usage(root)
	p.section("VERBS")
	for _, verb := range root.Commands() {
		if verb.IsAvailableCommand() {
			p.item(verb.Name(), verb.Short)
		}
	}
	p.section("FILES")
	p.item("/etc/alicorn/alicorn.conf", "the configuration, where the current folder has no alicorn.conf")
	p.item("/var/lib/alicorn", "accounts, keys and certificates")
	p.item("/var/log/alicorn", "the logs of the service")
	p.section("EXIT STATUS")
	p.text("0: done. 1: bad configuration or failed start. 2: wrong usage. 3: an application did not come up.")
	p.section("SEE ALSO")
	p.refer("alicorn.conf", "5")
	return p.Bytes()
}

func manOfDirectives() []byte {
	p := newPage("alicorn.conf", "5", "the configuration of alicorn")
	p.section("DESCRIPTION")
	p.text("The language is nginx's. A directive with nginx's name means what it means in nginx.")
	p.section("DIRECTIVES")
	for _, d := range directivesWith("") {
		p.directive(d)
	}
	p.section("SEE ALSO")
	p.refer("alicorn", "1")
	return p.Bytes()
}

func (p *page) directive(d *config.Directive) {
	head := strings.TrimSpace(d.Name + " " + d.Syntax)
	if d.Block {
		head += " { ... }"
	}
	text := d.Help
	if d.NoEffect {
		text = "Accepted without effect: " + text
	}
	if d.Default != "" {
		text += " Default: " + d.Default + "."
	}
	p.item(head, text+" Context: "+d.Where()+".")
}

// completeHelp completes the names of verbs and directives.
func completeHelp(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, verb := range cmd.Root().Commands() {
		if verb.IsAvailableCommand() && strings.HasPrefix(verb.Name(), begun) {
			names = append(names, cobra.CompletionWithDesc(verb.Name(), verb.Short))
		}
	}
	for _, d := range directivesWith("") {
		if strings.HasPrefix(d.Name, begun) {
			names = append(names, d.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
