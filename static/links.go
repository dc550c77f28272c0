package static

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"alicorn/config"
	"alicorn/proxy"
)

// linkSettings is a disable_symlinks directive.
type linkSettings struct {
	kind linkKind
	from *proxy.Template // from=PART; nil: every part of a name is checked
}

type linkKind uint8

const (
	linksFollowed linkKind = iota
	linksRefused
	linksOfOwner // a link must have the same owner as its target
)

// linkRule says through which symbolic links one name may lead. The first from bytes of the
// name, which end before a slash, are not checked.
type linkRule struct {
	kind linkKind
	from int32
}

func (m module) links() config.Directive {
	return config.Directive{Name: "disable_symlinks", In: config.AnyLevel, Args: config.Arity{Min: 1, Max: 2}, Syntax: "off | on | if_not_owner [from=PART]", Default: "off", Set: m.setLinks,
		Help: "Refuses files whose name leads through a symbolic link: with on through any link, with if_not_owner through a link whose owner is not the owner of its target. A name that begins with PART is checked only behind PART, which may have variables, as in from=$document_root. As in nginx, the entries of a folder list are not checked. On macOS the server must be able to read each folder in the name, not only to search it."}
}

func (m module) setLinks(s *config.Scope, n *config.Node) error {
	l := linkSettings{}
	known := false
	for _, a := range n.Args {
		part, from := strings.CutPrefix(a.Text, "from=")
		switch {
		case from && part != "" && l.from == nil:
			l.from = proxy.ParseTemplate(s.Load(), a.Pos, withoutParents(part, false)) // as for root
			continue
		case known:
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("invalid disable_symlinks parameter %q", a.Text)}
		case a.Text == "off":
		case a.Text == "on":
			l.kind = linksRefused
		case a.Text == "if_not_owner":
			l.kind = linksOfOwner
		default:
			return &config.Error{Pos: a.Pos, Msg: fmt.Sprintf("invalid disable_symlinks parameter %q; it is one of off, on, if_not_owner, from=PART", a.Text)}
		}
		known = true
	}
	switch {
	case !known:
		return errors.New("disable_symlinks must have one of \"off\", \"on\" and \"if_not_owner\"")
	case l.kind == linksFollowed && l.from != nil:
		return errors.New("\"from\" cannot be used with \"disable_symlinks off\"")
	}
	m.k.In(s).links = l
	return nil
}

// rule returns the linkRule for lk's name.
func (lk *lookup) rule(kind linkKind) linkRule {
	name, n := lk.key(), len(lk.from)
	switch {
	case kind == linksFollowed || n == 0 || !bytes.HasPrefix(name, lk.from):
		return linkRule{kind: kind}
	case n == len(name):
		return linkRule{}
	case name[n] == '/':
		return linkRule{kind, int32(n)}
	case name[n-1] == '/':
		return linkRule{kind, int32(n - 1)}
	}
	return linkRule{kind: kind}
}

// open opens name, which ends in NUL, unless it leads through a link that is refused. While
// open runs it changes name.
func (r linkRule) open(name []byte) (int, error) {
	if r.kind == linksFollowed {
		return openFile(unix.AT_FDCWD, name, openFlags)
	}
	dir, rest, err := r.start(name)
	if err != nil {
		return -1, err
	}
	if r.kind == linksRefused {
		if fd, ok := openWithoutLinks(dir, rest); ok {
			closeFolder(dir)
			return fd, nil
		}
	}
	return r.walk(dir, rest)
}

// start opens the folder in which the checked part of the name begins.
func (r linkRule) start(name []byte) (dir int, rest []byte, err error) {
	switch {
	case r.from > 0:
		name[r.from] = 0
		dir, err = openFile(unix.AT_FDCWD, name[:r.from+1], searchFlags)
		name[r.from] = '/'
		return dir, name[r.from+1:], err
	case name[0] == '/':
		dir, err = openFile(unix.AT_FDCWD, []byte("/\x00"), searchFlags)
		return dir, name[1:], err
	}
	return unix.AT_FDCWD, name, nil
}

// walk opens name part by part, beginning in dir, which it closes.
func (r linkRule) walk(dir int, name []byte) (int, error) {
	for {
		i := bytes.IndexByte(name, '/')
		if i < 0 {
			break
		}
		if i > 0 {
			name[i] = 0
			next, err := r.part(dir, name[:i+1], searchFlags)
			name[i] = '/'
			closeFolder(dir)
			if err != nil {
				return -1, err
			}
			dir = next
		}
		name = name[i+1:]
	}
	defer closeFolder(dir)
	if len(name) == 1 { // the name ends in a slash
		return openFile(dir, []byte(".\x00"), openFlags)
	}
	return r.part(dir, name, openFlags)
}

// part opens one part of a name. For if_not_owner it compares owners for every part, because
// it cannot be sure whether the part is a link.
func (r linkRule) part(dir int, name []byte, flags int) (int, error) {
	if r.kind == linksRefused {
		return openFile(dir, name, flags|unix.O_NOFOLLOW)
	}
	fd, err := openFile(dir, name, flags)
	if err != nil {
		return -1, err
	}
	var link, file unix.Stat_t
	if err = unix.Fstatat(dir, string(name[:len(name)-1]), &link, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		err = unix.Fstat(fd, &file)
	}
	if err == nil && link.Uid != file.Uid {
		err = unix.ELOOP
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func closeFolder(dir int) {
	if dir != unix.AT_FDCWD {
		unix.Close(dir)
	}
}
