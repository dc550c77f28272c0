package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"alicorn/cmd/alicorn/keeper"
	"alicorn/config"
	"alicorn/config/osfile"
)

// ownFolders makes the folders that the front writes to, and gives them to the front's
// user with everything in them. The one for state, which has private keys, is closed to
// other users. Where a folder cannot be made, as in a read-only container, whatever
// needs the folder reports that; most configurations need none.
func ownFolders(f folders, user keeper.Identity) error {
	for _, folder := range []osfile.Folder{{Path: f.cache, Mode: 0o755}, f.stateFolder()} {
		if osfile.MkdirAll(folder.Path, folder.Mode) != nil {
			continue
		}
		err := osfile.Own(folder, user.Files())
		if err != nil && !errors.Is(err, os.ErrPermission) && !isReadOnly(err) {
			return fmt.Errorf("cannot give folder %s to user %q: %w", folder.Path, user.Name, err)
		}
	}
	return nil
}

// ownWritable makes the folders that the configuration has the front write to, and gives
// them to its user. Its errors do not end the server: only what needs a folder fails.
func (p *program) ownWritable(ld *loaded) []*config.Error { return p.eachWritable(ld, osfile.Own) }

// judgeWritable returns the errors of ownWritable, and changes nothing.
func (p *program) judgeWritable(ld *loaded) []*config.Error {
	return p.eachWritable(ld, osfile.CanOwn)
}

func (p *program) eachWritable(ld *loaded, do func(osfile.Folder, osfile.User) error) (errs []*config.Error) {
	user := ld.process.identity().Files()
	if os.Geteuid() != 0 || ld.process.OneProcess {
		user = osfile.User{}
	}
	for _, w := range ld.load.Writable() {
		f := w.Folder
		if strings.HasPrefix(f.Path, p.folders.state+"/") {
			f = p.folders.stateFolder() // the server's own folder, with everything in it
		}
		if err := do(f, user); err != nil {
			errs = append(errs, &config.Error{Pos: w.Pos, Msg: fmt.Sprintf("the server cannot write to folder %s: %s", w.Folder.Path, osfile.Cause(err))})
		}
	}
	return errs
}

// warnOfBarred warns about folders to serve files from that the serving user may not
// enter, and files that it may not read.
func (ld *loaded) warnOfBarred() {
	ld.eachBarred(func(pos config.Pos, text string) { ld.load.Warn(pos, "%s", text) })
}

// barred lists these folders, each with a remedy.
func (ld *loaded) barred() (all []string) {
	ld.eachBarred(func(pos config.Pos, text string) { all = append(all, pos.String()+": "+text) })
	return all
}

func (ld *loaded) eachBarred(do func(pos config.Pos, text string)) {
	user := ld.process.identity()
	as := user.Files()
	if os.Geteuid() != 0 || ld.process.OneProcess {
		as = osfile.User{UID: os.Geteuid()}
	}
	name := osfile.User{UID: as.UID}.Name()
	for _, e := range ld.load.Entered() {
		switch barred := osfile.Barred(e.Path, as); {
		case barred != "" && e.Read:
			do(e.Pos, fmt.Sprintf("the server cannot read %q: it runs as %s, who may not enter %q", e.Path, name, barred))
		case barred != "":
			do(e.Pos, fmt.Sprintf("nothing in %q can be served: the server runs as %s, who may not enter %q; \"chmod o+x %s\" lets every user pass it", e.Path, name, barred, barred))
		case e.Read && osfile.Unreadable(e.Path, as):
			do(e.Pos, fmt.Sprintf("the server cannot read %q: it runs as %s, who has no right to", e.Path, name))
		}
	}
}

// stateFolder returns the folder for private keys, which is closed to other users.
func (f folders) stateFolder() osfile.Folder { return osfile.Folder{Path: f.state, Mode: 0o700} }
