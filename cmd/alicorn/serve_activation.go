package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"alicorn/cmd/alicorn/keeper"
)

// activatedEnv tells a process that takes over which addresses a service manager has
// given the first one, one a line.
const activatedEnv = "ALICORN_ACTIVATED"

// activate uses the sockets of a service manager in place of --bind, as in gunicorn,
// and finds those that are named as fd://N. With --domain the server listens on
// ports 443 and 80, and uses the sockets that fit.
func (f *serveFlags) activate() error {
	if err := f.bindAsUvicorn(); err != nil {
		return err
	}
	given, err := f.offered()
	if err != nil {
		return err
	}
	if given == nil {
		given = keeper.InheritedAddresses()
	}
	if err := f.bindDescriptors(given); err != nil || len(f.domains) > 0 {
		return err
	}
	var addresses []string
	for _, fd := range slices.Sorted(maps.Keys(given)) {
		addresses = append(addresses, given[fd])
	}
	if text := os.Getenv(activatedEnv); text != "" && os.Getenv(upgradeEnv) != "" {
		addresses = strings.Split(text, "\n")
	}
	if len(addresses) == 0 {
		return nil
	}
	for _, bind := range f.binds {
		address, err := listenAddress(bind)
		if err != nil {
			return fmt.Errorf("%s: %w", f.label("bind"), err)
		}
		if !slices.Contains(addresses, address) {
			f.note("bind", fmt.Sprintf("%q is not listened on, since the sockets that the service manager gives take its place: %s", bind, strings.Join(addresses, ", ")), false)
		}
	}
	f.binds = addresses
	if !f.has("fd") {
		f.given["bind"] = "LISTEN_FDS"
	}
	return os.Setenv(activatedEnv, strings.Join(addresses, "\n"))
}

// bindDescriptors replaces fd://N by addresses.
func (f *serveFlags) bindDescriptors(given map[int]string) error {
	for i, bind := range f.binds {
		text, ok := strings.CutPrefix(strings.TrimSpace(bind), "fd://")
		if !ok {
			continue
		}
		fd, err := strconv.Atoi(text)
		if err != nil || given[fd] == "" {
			return fmt.Errorf("%s: %q is none of the listening sockets that LISTEN_FDS and LISTEN_PID give this process", f.label("bind"), bind)
		}
		f.binds[i] = given[fd]
	}
	return nil
}
