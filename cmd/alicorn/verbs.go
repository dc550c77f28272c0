package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"alicorn/appserver"
	"alicorn/appserver/pool"
	"alicorn/cmd/alicorn/control"
	"alicorn/config/osfile"
	"alicorn/proxy"

	"github.com/spf13/cobra"
)

// verbCommand is a verb that posts to the running server.
func verbCommand(use, short string, do func(cmd *cobra.Command, c *control.Client) error) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := target(cmd.Context(), o)
			if err == nil {
				err = do(cmd, c)
			}
			return failed(err)
		},
	}
	o.declare(cmd.Flags())
	cmd.Flags().StringVar(&o.pidFile, "pid", "", "`FILE` with the process id of the server that is meant")
	return cmd
}

func reloadCommand() *cobra.Command {
	var o control.Reload
	cmd := verbCommand("reload [APP...]", "Load the configuration anew and the code of applications that have changed, without losing a request",
		func(cmd *cobra.Command, c *control.Client) error {
			o.Apps = cmd.Flags().Args()
			fates, err := c.Reload(cmd.Context(), o)
			printFates(cmd.OutOrStdout(), fates)
			return err
		})
	cmd.Long = "Loads the configuration anew. An application whose settings, environment and files have not changed keeps its\n" +
		"workers; each other one gets new workers, and the old ones end once the new ones are ready. An application that does\n" +
		"not come up keeps its old workers. The verb does not wait for a broken one that has not changed: it is tried again by\n" +
		"itself, or at once when it is named. Every APP that is named gets new workers in any case. The new configuration serves\n" +
		"at once, and log files that were moved or removed are opened again. The verb ends when the new workers are ready or\n" +
		"have failed, with exit code 1 when an application is broken or a log cannot be opened."
	cmd.Args = cobra.ArbitraryArgs
	cmd.Flags().BoolVar(&o.All, "all", false, "give every application new workers")
	cmd.Flags().BoolVar(&o.AllOrNothing, "all-or-nothing", false, "change nothing when one application does not come up")
	return cmd
}

// printFates prints what a reload did: a line for each application with new
// workers, and one for all that keep theirs.
func printFates(w io.Writer, fates []control.Fate) {
	var kept []string
	for _, f := range fates {
		switch {
		case f.Fate == string(appserver.Kept):
			kept = append(kept, f.App)
		case f.Why == "":
			fmt.Fprintf(w, "%-9s %s\n", f.Fate, f.App)
		default:
			fmt.Fprintf(w, "%-9s %s: %s\n", f.Fate, f.App, f.Why)
		}
	}
	if len(kept) > 0 {
		fmt.Fprintf(w, "%-9s %s\n", appserver.Kept, strings.Join(kept, ", "))
	}
}

func reopenCommand() *cobra.Command {
	return verbCommand("reopen", "Open the log files again, after they were moved",
		func(cmd *cobra.Command, c *control.Client) error { return c.Post(cmd.Context(), "/reopen") })
}

func upgradeCommand() *cobra.Command {
	cmd := verbCommand("upgrade", "Let the program that was installed in the running one's place take over, without losing a request",
		func(cmd *cobra.Command, c *control.Client) error {
			return upgradeAndWait(cmd.Context(), c, cmd.ErrOrStderr())
		})
	cmd.Long = "Starts the installed program, which takes over once it serves. If it does not start, the old one goes on. Other than for\n" +
		"a reload, a log that cannot be opened is such a failure, as in nginx: a new program has no earlier file to go on in."
	return cmd
}

// endPatience is how long, after a server stops answering, the next one may take to
// answer, or its process to end.
const endPatience = 10 * time.Second

// upgradeAndWait returns when the new server answers on the control socket. It prints
// to w the applications that have not come up there.
func upgradeAndWait(ctx context.Context, c *control.Client, w io.Writer) error {
	before, err := c.Status(ctx)
	if err == nil {
		err = c.Post(ctx, "/upgrade")
	}
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(endPatience); ; {
		st, err := control.NewClient(c.Socket).Status(ctx)
		switch {
		case err == nil && st.PID != before.PID:
			for _, a := range st.Apps {
				if a.State == string(pool.Failed) {
					fmt.Fprintf(w, "alicorn: app %q did not come up: %s; it is tried again and again\n", a.Name, a.Error)
				}
			}
			return nil
		case time.Now().Before(deadline):
		case err == nil:
			return fmt.Errorf("the new program has taken over, but process %d, the old one, still answers on %s", before.PID, c.Socket)
		default:
			return fmt.Errorf("the new program has taken over, but cannot be asked: %w", err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits before a server is asked again.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}

func stopCommand() *cobra.Command {
	var now bool
	cmd := verbCommand("stop", "Finish the requests in progress and stop",
		func(cmd *cobra.Command, c *control.Client) error { return stopAndWait(cmd.Context(), c, now) })
	cmd.Flags().BoolVar(&now, "now", false, "do not wait for requests in progress")
	return cmd
}

// stopAndWait returns when the server is gone: first its socket, then its
// process, which removes the pid file last.
func stopAndWait(ctx context.Context, c *control.Client, now bool) error {
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	path := "/stop"
	if now {
		path += "?now=1"
	}
	if err := c.Post(ctx, path); err != nil {
		return err
	}
	return awaitEnd(ctx, c, st.PID, endPatience)
}

// awaitEnd returns when the server of the process pid is gone. A server counts as gone
// when it has not answered for patience, unless it still listens.
func awaitEnd(ctx context.Context, c *control.Client, pid int, patience time.Duration) error {
	var silent time.Time // when it last stopped answering; zero: it answers
	for {
		st, err := c.Status(ctx)
		gone := errors.Is(err, control.ErrNotRunning) || err == nil && st.PID != pid // or another server has taken its place
		switch {
		case err == nil && !gone:
			silent = time.Time{}
		case silent.IsZero():
			silent = time.Now()
		}
		switch over := !silent.IsZero() && time.Since(silent) > patience; {
		case !silent.IsZero() && hasEnded(pid), over && gone:
			return nil
		case over:
			return fmt.Errorf("the server was told to stop, and process %d has not ended: %w", pid, err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// hasEnded reports whether the process is gone, or only waits to be reaped. EPERM means
// that it exists and belongs to another user.
func hasEnded(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// sendSignal is nginx's -s. Where there is no control socket, it signals the
// process that the configuration's pid file names.
func sendSignal(ctx context.Context, o options, name string) error {
	signals := map[string]syscall.Signal{"reload": syscall.SIGHUP, "reopen": syscall.SIGUSR1, "quit": syscall.SIGQUIT, "stop": syscall.SIGTERM}
	sig, ok := signals[name]
	if !ok {
		return &exitError{exitUsage, fmt.Errorf("invalid option: -s %q; it takes stop, quit, reload or reopen", name)}
	}
	c, err := target(ctx, o)
	if err != nil {
		pid := fileProgram(o).peek().PIDFile
		if pid == "" {
			return failed(err)
		}
		return failed(signalPID(pid, sig, name == "stop"))
	}
	switch name {
	case "quit":
		return failed(stopAndWait(ctx, c, false))
	case "stop":
		return failed(stopAndWait(ctx, c, true))
	}
	return failed(c.Post(ctx, "/"+name))
}

// signalPID signals the process of the pid file; hard stops need two signals.
func signalPID(file string, sig syscall.Signal, twice bool) error {
	pid, err := readPID(file)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("cannot signal process %d, which %s names: %w", pid, file, err)
	}
	if twice {
		time.Sleep(100 * time.Millisecond) // two signals at once would count as one
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cannot signal process %d: %w", pid, err)
		}
	}
	return nil
}

func statusCommand() *cobra.Command {
	var asJSON bool
	cmd := verbCommand("status", "Show the running server: listeners, applications, workers, upstreams, queues",
		func(cmd *cobra.Command, c *control.Client) error {
			st, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return showJSON(cmd.OutOrStdout(), st)
			}
			return show(cmd.OutOrStdout(), func(w io.Writer) error { return printStatus(w, st) })
		})
	cmd.Long = "Shows first what fails, each with a remedy: applications, certificates, logs, folders, worker_priority, the last reload. Then the\n" +
		"listeners, each application with its workers, and the servers that requests are passed on to. Where no server runs it says why the last start has failed."
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(w io.Writer, st control.Status) error {
	phase, listeners := "", strings.Join(st.Listeners, ", ")
	switch {
	case st.Stopping:
		phase, listeners = ", stopping", "nothing any more: requests in progress are finished; a second stop ends them"
	case st.Starting:
		phase = ", starting"
	}
	up := "up"
	if st.Replaced != nil { // the process of this pid has run for longer
		up = "its present front up"
	}
	fmt.Fprintf(w, "alicorn %s, pid %d, %s %s, generation %d%s\nconfiguration %s\nlistening on  %s\n", st.Version, st.PID, up,
		time.Duration(st.Up*float64(time.Second)).Round(time.Second), st.Generation, phase, st.Config, listeners)
	fmt.Fprintf(w, "temporary     %s of %s\n", osfile.SizeText(st.TempSpace.Used), osfile.SizeText(st.TempSpace.Limit))
	printTrouble(w, st)
	for _, a := range st.Apps {
		fmt.Fprintf(w, "\napp %s: %s, %s, %d waiting, code since %s\n", a.Name, a.State, proxy.Count(len(a.Workers), "worker"), a.Queue, a.Since.Local().Format(time.DateTime))
		if a.Error != "" {
			fmt.Fprintf(w, "  the last start failed: %s\n", a.Error)
		}
		if text := overran(a, time.Now()); text != "" {
			fmt.Fprintf(w, "  %s\n", text)
		}
		if !a.Next.IsZero() {
			fmt.Fprintf(w, "  the next start is at %s\n", a.Next.Local().Format(time.DateTime))
		}
		t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
		fmt.Fprintln(t, "  WORKER\tPID\tSTATE\tAGE\tREQUESTS\tMEMORY\tNOW")
		for _, k := range a.Workers {
			fmt.Fprintf(t, "  %s\t%d\t%s\t%s\t%d\t%s\t%s\n", k.Name, k.PID, k.State,
				(time.Duration(k.Age) * time.Second).String(), k.Requests, osfile.SizeText(k.Memory), now(k))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, u := range st.Upstreams {
		if err := printUpstream(w, u); err != nil {
			return err
		}
	}
	return nil
}

// lateFrom is from how many seconds on it is told how late an event loop is.
const lateFrom = 0.05

// now returns what a worker does: its longest request, and how late its event loop is.
func now(k control.Worker) string {
	if k.Lag < lateFrom {
		return k.Request
	}
	return strings.TrimSpace(fmt.Sprintf("%s (event loop %d ms late)", k.Request, int(k.Lag*1000)))
}

// printTrouble prints what fails although the server serves.
func printTrouble(w io.Writer, st control.Status) {
	var broken []string
	for _, a := range st.Apps {
		if a.Error != "" {
			broken = append(broken, a.Name)
		}
	}
	if len(broken) > 0 {
		fmt.Fprintf(w, "failing       %d of %s, see below: %s\n", len(broken), proxy.Count(len(st.Apps), "app"), strings.Join(broken, ", "))
	}
	for _, text := range serversTrouble(st, time.Now()) {
		fmt.Fprintln(w, text)
	}
	if r := st.Replaced; r != nil {
		fmt.Fprintf(w, "replacements of the front: %d, the last at %s: %s\n", r.Times, moment(r.At), r.Why)
	}
	printBlocking(w, st.Blocking)
	for _, l := range st.Logs {
		if !l.Failing {
			fmt.Fprintf(w, "log %s has lost %s, the last at %s: %s\n", l.Path, proxy.Count(l.Lost, "line"), moment(l.ErrorAt), l.Error)
		}
	}
}

// printBlocking prints the locations that have blocked event loops, what that means and what
// to do about it.
func printBlocking(w io.Writer, all []control.Blocking) {
	for _, b := range all {
		who := "location " + b.Location
		if b.Location == "" {
			who = "the server"
		}
		fmt.Fprintf(w, "blocking      %s at %s has kept its event loop for several milliseconds, %s\n", who, b.Place, times(b.Times))
	}
	if len(all) > 0 {
		fmt.Fprint(w, blockingRemedy)
	}
}

const blockingRemedy = `              Other requests waited meanwhile. A few times on a busy machine are harmless. If the number grows: are the disks of
              its files and logs slow (open_file_cache and access_log buffer= ask them less often), is gzip_comp_level high, is
              a folder that autoindex lists very large, or are all processors busy?
`

// times returns "once", "2 times" and so on.
func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return printVersion(cmd.OutOrStdout(), true) },
	}
}

func printVersion(w io.Writer, build bool) error {
	text := "alicorn version: alicorn/" + proxy.Version + "\n"
	if build {
		text += "built with " + runtime.Version() + " for " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	}
	_, err := io.WriteString(w, text)
	return failed(err)
}

// helpCommand prints a verb's help, or a directive's manual entry.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB | DIRECTIVE]", Short: "Help about a verb, or the manual of a directive",
		ValidArgsFunction: completeHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) == 0 {
				return root.Help()
			}
			if sub, _, err := root.Find(args); err == nil && sub != root {
				return sub.Help()
			}
			return printManual(cmd.OutOrStdout(), args[0])
		},
	}
}
