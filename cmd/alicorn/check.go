package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"alicorn/appserver"
	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/proxy"

	"github.com/spf13/cobra"

	"alicorn/config/osfile"
)

func checkCommand() *cobra.Command {
	var o options
	var dump, verbose bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read the configuration and report every mistake",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return check(cmd.OutOrStdout(), os.Stderr, o, dump, verbose)
		},
	}
	o.declare(cmd.Flags())
	cmd.Flags().BoolVar(&dump, "dump", false, "print the configuration with everything it includes")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also report directives without effect and slow patterns")
	return cmd
}

// checkHost is a config.Host that binds and makes nothing, and writes to no log,
// so that a check works beside the running server.
type checkHost struct {
	*keeper.Local
	logs bool // check that logs can be opened
	// barred collects errors of logs that this user may not write to. They are not
	// mistakes, since the user that starts the server may.
	barred *[]error
}

// Listen returns a socket that stands for the one of the address, which is not bound.
func (h checkHost) Listen(string, string, config.ListenOptions) (*os.File, error) {
	return h.Local.Listen("tcp4", "127.0.0.1:0", config.ListenOptions{})
}

// Append opens the null device, if path could be opened.
func (h checkHost) Append(path string) (*os.File, error) {
	if h.logs {
		err := h.Local.CanAppend(path)
		switch {
		case errors.Is(err, fs.ErrPermission):
			*h.barred = append(*h.barred, err)
		case err != nil:
			return nil, err
		}
	}
	return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
}

func check(out, errs io.Writer, o options, dump, verbose bool) error {
	p := fileProgram(o)
	tree, err := p.read()
	var barred []error
	res := config.NewResources(checkHost{&keeper.Local{}, true, &barred})
	defer res.Release()
	ld, err := p.compile(tree, err, res, appserver.NewRuntime(appserver.Options{}))
	if ld != nil && !o.quiet {
		for _, w := range ld.load.Warnings() {
			if verbose || !w.Verbose {
				fmt.Fprintf(errs, "%s: warning: %s\n", proxy.Printable(w.Pos.String()), proxy.Printable(w.Msg))
			}
		}
	}
	for _, err := range barred {
		if !o.quiet {
			fmt.Fprintf(errs, "%s: warning: %s; a server that another user starts may be able to\n", o.file(), proxy.Printable(err.Error()))
		}
	}
	if err == nil {
		err = config.Errors(p.judgeWritable(ld)).Err()
	}
	if err != nil {
		report(err)
		if !o.quiet {
			fmt.Fprintf(errs, "alicorn: configuration file %s test failed\n", o.file())
		}
		return &exitError{exitFailed, nil}
	}
	if !o.quiet {
		fmt.Fprintf(errs, "alicorn: configuration file %s test is successful\n", o.file())
	}
	if dump {
		return failed(config.Dump(out, tree))
	}
	return nil
}

func fmtCommand() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "Print configuration files in one form; -w changes the files",
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				return failed(formatStream(cmd.InOrStdin(), cmd.OutOrStdout()))
			}
			for _, f := range files {
				if err := formatFile(f, cmd.OutOrStdout(), write); err != nil {
					return failed(err)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the result back to each file")
	return cmd
}

func formatStream(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	done, err := config.Format("<standard input>", text)
	if err == nil {
		_, err = out.Write(done)
	}
	return err
}

func formatFile(name string, out io.Writer, write bool) error {
	text, err := osfile.Read(name, osfile.MaxConfig)
	if err != nil {
		return err
	}
	done, err := config.Format(name, text)
	if err != nil {
		return err
	}
	if !write {
		_, err = out.Write(done)
		return err
	}
	if string(done) == string(text) {
		return nil
	}
	return replaceText(name, string(done))
}
