package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"alicorn/config"
	"alicorn/config/osfile"
)

// Local is a config.Host with this process's own rights.
type Local struct {
	// Owner becomes the owner of log files, so that a front without
	// privileges can rotate them; the zero Identity changes nothing.
	Owner Identity
	// Inherited sockets are used instead of binding their addresses.
	Inherited *Inherited
	// Patience is how long an address that is in use is tried again: the
	// server that has it may be about to stop.
	Patience time.Duration
	// Waiting is called when an address that is in use is about to be tried
	// again, with the reason; it may be nil.
	Waiting func(why error)
	// Rival names a server of this program that listens on a TCP port, and how
	// to end it; "": there is none. It may be nil.
	Rival func(port uint16) string

	neighbours neighbours
}

// Listen binds a socket as nginx does. Errors are one sentence that names the
// address, the reason and, where there is one, a remedy.
func (h *Local) Listen(network, address string, o config.ListenOptions) (*os.File, error) {
	if f := h.Inherited.take(network, address, o); f != nil {
		if ap, err := netip.ParseAddrPort(address); err == nil {
			h.neighbours.add(ap.Port(), o, f)
		}
		return f, nil
	}
	if network == "unix" {
		return h.listenUnix(address, o)
	}
	return h.listenTCP(network, address, o)
}

// Append opens a log file and creates it and its directory when missing. Below
// a folder of another user the log belongs to that user.
func (h *Local) Append(path string) (*os.File, error) {
	f, decider, err := openLog(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = h.makeFolder(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("cannot create the log directory %s: %w", filepath.Dir(path), osfile.Cause(err))
		}
		f, decider, err = openLog(path)
	}
	if errors.Is(err, fs.ErrPermission) && decider.UID == h.Owner.UID && osfile.Adopt(path, h.Owner.Files()) == nil {
		f, decider, err = openLog(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open log %s: %w", path, osfile.Cause(err))
	}
	if decider.UID == 0 {
		h.own(f)
	}
	return f, nil
}

// makeFolder makes a folder for logs and gives it to the Owner, who renames
// files in it to rotate logs.
func (h *Local) makeFolder(dir string) error {
	if err := osfile.MkdirAll(dir, 0o755); err != nil || os.Geteuid() != 0 || h.Owner.UID == 0 {
		return err
	}
	none := func(string) bool { return false }
	// A folder that stays root's only keeps logs from being rotated.
	_ = osfile.Own(osfile.Folder{Path: dir, Mode: 0o755, Holds: none}, h.Owner.Files())
	return nil
}

// own makes the Owner the owner of a regular file without further hard links.
func (h *Local) own(f *os.File) {
	if os.Geteuid() != 0 || h.Owner.UID == 0 {
		return
	}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() && links(st) == 1 {
		// The file is open: it can be written even if it stays root's.
		_ = f.Chown(h.Owner.UID, h.Owner.GID)
	}
}

// LookUp asks the system's resolver.
func (h *Local) LookUp(host string) ([]netip.Addr, error) { return config.LookUp(host) }

// ReadFile reads a certificate, key or password file.
func (h *Local) ReadFile(path string) ([]byte, error) {
	return osfile.Read(path, osfile.MaxCredential)
}
