// Command alicorn is a web server and application server in one: it reads
// nginx-style configuration, serves static files, and runs supervised pools of
// Python workers.
//
// Each verb has a file. modules.go lists the features in order, load.go reads a
// configuration, server.go runs it and swaps it. Package keeper keeps privileges, and
// package control lets the verbs speak to a running server.
package main

// Files, in the order of the story:
//
//   - main.go options.go: verbs and flags
//   - run.go load.go modules.go builtin.go charsetmaps.go process.go priority.go processors.go gc.go profile.go profile_off.go: from a configuration to a process
//   - keep.go front.go accounts.go writable.go: as root, two processes
//   - server.go server_control.go server_cert.go server_upgrade.go firststart.go reload.go logs.go failures.go: a server
//   - upgrade.go predecessor.go origin.go target.go: one server after another
//   - daemon.go pidfile.go pidlock.go rival.go notify.go startnote.go: how other programs see it
//   - verbs.go show.go appstatus.go upstreamstatus.go trouble.go check.go cert.go: verbs for operators
//   - manual.go man.go: the manual
//   - install.go install_service.go install_user.go: a service without a package
//   - serve.go serve_discover.go serve_flags.go serve_uvicorn.go serve_layers.go serve_settings.go serve_conf.go serve_pyvalue.go
//     serve_values.go serve_words.go: serve, and gunicorn's settings
//   - serve_tree.go serve_address.go serve_activation.go serve_logformat.go serve_place.go: the configuration of
//     these settings

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/proxy"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // bad configuration or a start that failed
	exitUsage  = 2
	exitApp    = 3 // an application did not come up at first start
)

func main() { os.Exit(run(context.Background(), os.Args[1:])) }

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string) int {
	proxy.SetRegexpClock()
	closeOnExec()
	if fd := os.Getenv(keeper.WireEnv); fd != "" {
		return exitCode(runFront(ctx, fd))
	}
	root := rootCommand()
	root.SetArgs(args)
	return exitCode(root.ExecuteContext(ctx))
}

// closeOnExec keeps the descriptors that this process was started with from the programs that it
// starts, workers among them: they are of the shell or service manager of whoever has started it.
// What such a program is to have is handed over by name.
func closeOnExec() {
	fds, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // there is no such folder in the narrowest of containers, nor a shell
	}
	for _, e := range fds {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd) // of a descriptor that ReadDir had it changes nothing
		}
	}
}

// exitCode prints err and returns the code that the program ends with.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{exitUsage, err}
	}
	report(exit.err)
	return exit.code
}

// exitError is an error with an exit code for the program. err may be nil, for an
// error that was printed already.
type exitError struct {
	code int
	err  error
}

// Error returns the text of the cause.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

func failed(err error) error {
	if err == nil {
		return nil
	}
	var exit *exitError
	if errors.As(err, &exit) {
		return err
	}
	return &exitError{exitFailed, err}
}

// report prints err: each mistake of a configuration on a line of its own, with its
// hint. It escapes control bytes, since err may quote files, clients and applications.
func report(err error) {
	var many config.Errors
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, e := range many {
			fmt.Fprintln(os.Stderr, proxy.Printable(mistake(e)))
		}
	default:
		fmt.Fprintf(os.Stderr, "alicorn: %s\n", proxy.Printable(err.Error()))
	}
}

func mistake(e *config.Error) string {
	if e.Hint == "" {
		return e.Error()
	}
	return e.Error() + "; " + e.Hint
}

// nginxFlags are the flags of nginx's command line.
type nginxFlags struct {
	test, dump, quiet, version, build bool
	signal                            string
	options
}

func rootCommand() *cobra.Command {
	var f nginxFlags
	root := &cobra.Command{
		Use:           "alicorn",
		Short:         "A web server and application server in one",
		Long:          "A web server and application server in one. \"alicorn directives\" lists the directives of its configuration,\nand \"alicorn help DIRECTIVE\" is the manual of one.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          isVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.Flags()
	flags.BoolVarP(&f.test, "test", "t", false, "check the configuration and end, as nginx -t")
	flags.BoolVarP(&f.dump, "dump", "T", false, "check the configuration and print it, as nginx -T")
	flags.StringVarP(&f.signal, "signal", "s", "", "send `SIGNAL` to the running server: stop, quit, reload, reopen")
	flags.BoolVarP(&f.version, "version", "v", false, "print the version")
	flags.BoolVarP(&f.build, "build", "V", false, "print the version and how it was built")
	f.options.declare(flags)
	root.AddCommand(runCommand(), checkCommand(), fmtCommand(), reloadCommand(), stopCommand(), reopenCommand(), upgradeCommand(),
		statusCommand(), certCommand(), versionCommand(), directivesCommand(), manCommand(),
		serveCommand(), installCommand(), uninstallCommand())
	root.SetHelpCommand(helpCommand())
	return root
}

// otherVerbs are words of other programs, with the verb here.
var otherVerbs = map[string]string{
	"start": "run", "quit": "stop", "shutdown": "stop", "restart": "reload", "test": "check", "configtest": "check", "rotate": "reopen", "certs": "cert",
}

// isVerb returns an error with a hint for a word that is not a verb.
func isVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	word, hint := args[0], `"alicorn help" lists the verbs`
	meant := root.SuggestionsFor(word)
	switch verb := otherVerbs[word]; {
	case verb != "":
		hint = fmt.Sprintf("did you mean %q?", verb)
	case strings.HasSuffix(word, ".conf"):
		hint = fmt.Sprintf(`did you mean "run -c %s"?`, word)
	case strings.ContainsAny(word, ":") || strings.HasSuffix(word, ".py"):
		hint = fmt.Sprintf(`did you mean "serve %s"?`, word)
	case len(meant) > 0:
		hint = fmt.Sprintf("did you mean %q?", meant[0])
	}
	return fmt.Errorf("unknown verb %q; %s", word, hint)
}

// run does what nginx does with these flags.
func (f *nginxFlags) run(cmd *cobra.Command) error {
	switch {
	case f.version || f.build:
		return printVersion(cmd.OutOrStdout(), f.build)
	case f.dump:
		return check(cmd.OutOrStdout(), os.Stderr, f.options, true, false)
	case f.test:
		return check(cmd.OutOrStdout(), os.Stderr, f.options, false, false)
	case f.signal != "":
		return sendSignal(cmd.Context(), f.options, f.signal)
	case f.options.given(cmd.Flags()):
		return runServer(cmd.Context(), f.options)
	}
	return cmd.Help()
}
