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

// Local takes things from the operating system with this process's own rights.
// It is a config.Host.
type Local struct {
	// Owner gets the log files that are opened, so that a front without
	// privileges may rotate them; the zero Identity changes nothing.
	Owner Identity
	// Inherited sockets are used instead of binding their addresses.
	Inherited *Inherited
	// Patience is how long an address that is in use is tried again: a server
	// that was told to stop just before may be about to give it up.
	Patience time.Duration
	// Waiting is called when an address that is in use is about to be tried
	// again, with the reason; it may be nil.
	Waiting func(why error)
	// Rival names a server of this program that listens on a TCP port, and how
	// that ends; "": there is none. It may be nil.
	Rival func(port uint16) string

	neighbours neighbours
}

// Listen binds a socket as nginx does. Errors are one sentence that names the
// address, the reason and what may help.
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
// a folder of another user it is that user's, and stays so.
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

// makeFolder makes a folder for logs, which then is the Owner's: who rotates
// logs renames files in it.
func (h *Local) makeFolder(dir string) error {
	if err := osfile.MkdirAll(dir, 0o755); err != nil || os.Geteuid() != 0 || h.Owner.UID == 0 {
		return err
	}
	none := func(string) bool { return false }
	// One that stays root's is all the same to a log that does not rotate.
	_ = osfile.Own(osfile.Folder{Path: dir, Mode: 0o755, Holds: none}, h.Owner.Files())
	return nil
}

// own gives a regular file with one name to the Owner.
func (h *Local) own(f *os.File) {
	if os.Geteuid() != 0 || h.Owner.UID == 0 {
		return
	}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() && links(st) == 1 {
		// A file that stays root's can be written all the same: it is open.
		_ = f.Chown(h.Owner.UID, h.Owner.GID)
	}
}

// ReadFile reads a certificate, key or password file.
func (h *Local) ReadFile(path string) ([]byte, error) {
	return osfile.Read(path, osfile.MaxCredential)
}
