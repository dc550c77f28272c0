package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"alicorn/cmd/alicorn/control"

	"github.com/spf13/cobra"
)

func certCommand() *cobra.Command {
	var asJSON bool
	cmd := verbCommand("cert", "Show automatic certificates: issuers, expiry, next renewal, last error",
		func(cmd *cobra.Command, c *control.Client) error {
			all, err := c.Certificates(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = showJSON(cmd.OutOrStdout(), all)
			} else {
				err = show(cmd.OutOrStdout(), func(w io.Writer) error { return printCertificates(w, all, time.Now()) })
			}
			return errors.Join(err, failing(all, time.Now()))
		})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(renewCommand())
	return cmd
}

// failing returns the error that ends the verb with code 1 when the last order of
// a name has failed, or its certificate has expired. The table shows which.
func failing(all []control.Certificate, now time.Time) error {
	for _, c := range all {
		if c.Error != "" || !c.NotAfter.IsZero() && now.After(c.NotAfter) {
			return &exitError{exitFailed, nil}
		}
	}
	return nil
}

func renewCommand() *cobra.Command {
	var name string
	cmd := verbCommand("renew NAME", "Order a new certificate for NAME now",
		func(cmd *cobra.Command, c *control.Client) error {
			return c.Post(cmd.Context(), "/certificates/renew?name="+url.QueryEscape(name))
		})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(1)(cmd, args); err != nil {
			return err
		}
		name = strings.ToLower(args[0])
		return nil
	}
	return cmd
}

// printCertificates prints a line for each name, and failures below it.
func printCertificates(w io.Writer, all []control.Certificate, now time.Time) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "this server has no automatic certificates")
		return err
	}
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tCERTIFICATE\tEXPIRES\tNEXT RENEWAL")
	for _, c := range all {
		state := c.Issuer
		switch {
		case c.NotAfter.IsZero():
			state = "none yet, from " + strings.Join(c.Issuers, ", ")
		case now.After(c.NotAfter):
			state = "EXPIRED, of " + c.Issuer
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Name, state, moment(c.NotAfter), moment(c.Renewal))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var trust []string
	for _, c := range all {
		if c.Error != "" {
			fmt.Fprintf(w, "\n%s: %s\n  failed at %s, next try at %s\n", c.Name, c.Error, moment(c.ErrorAt), moment(c.Next))
		}
		if c.Trust != "" && !slices.Contains(trust, c.Trust) {
			trust = append(trust, c.Trust)
			fmt.Fprintf(w, "\n%s\n", howToTrust(c.Trust))
		}
	}
	return nil
}

// moment returns a time as tables show it, in UTC as in logs.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// howToTrust returns the commands that make clients accept a local authority's certificates.
func howToTrust(file string) string {
	return "To trust the local authority on this machine: sudo cp " + file + " /usr/local/share/ca-certificates/alicorn.crt && sudo update-ca-certificates\n" +
		"Browsers with a store of their own, such as Firefox, import " + file + " as an authority; or curl --cacert " + file
}
