package appserver

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"alicorn/config"
)

// credentials are the user and groups that a worker runs as. Without Switch they are
// those of this process.
type credentials struct {
	Switch   bool
	UID, GID int
	Groups   []int
	Name     string // the user's name, or its number
	Home     string
	user     string // the value of the directive
	group    string
	reason   string // why it is this user if no directive names one, for messages
	root     bool   // this process is root, so workers do not inherit root's environment
}

func setUser(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		c := &k.In(s).app.credentials
		c.user = n.Arg(0)
		if len(n.Args) == 2 {
			c.group = n.Arg(1)
		}
		return nil
	}
}

func setGroup(k *key) config.Setter {
	return func(s *config.Scope, n *config.Node) error {
		k.In(s).app.credentials.group = n.Arg(0)
		return nil
	}
}

// maxID is the largest number of a user or group. To the system 1<<32 - 1 means "none", and
// it takes larger numbers modulo 1<<32, so that 1<<32 would be root.
const maxID = 1<<32 - 2

// AppUser is the user of workers whose directory belongs to root. "alicorn install"
// and the package make it; without it such workers run as the user nobody.
const AppUser = "alicorn-app"

// unnamed is the number of a user that workers run as in place of nobody if the front runs
// as nobody by default. It is in no list of users.
const unnamed = "65533"

// identify finds the user that the workers run as. In a process of root that is the user of
// the directive, otherwise the owner of the directory, and never the front's user. In
// another process it is the user of the process.
func (a *App) identify(s *config.Scope) error {
	c := &a.credentials
	n := s.Own("user")
	if n == nil {
		n = s.Own("group")
	}
	if os.Geteuid() != 0 {
		return a.identifySelf(n)
	}
	pos, fronts := a.Pos, frontsOf(s)
	if n != nil {
		pos = n.Args[0].Pos
	} else if d := s.Own("directory"); d != nil {
		pos = d.Args[0].Pos
	}
	if err := c.choose(a.Directory, fronts); err != nil {
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("app %q: %s", a.Name, err)}
	}
	if f, shared := c.sharedBy(fronts); shared {
		return &config.Error{Pos: pos, Msg: fmt.Sprintf("app %q (%s) would run as %q%s, and so does the front (%s): an application could read private keys "+
			"in the front's memory and files; name another user, for the front at the main level or for this app in its block, as in \"user %s;\"",
			a.Name, a.Pos, c.Name, c.reason, f.said(), AppUser)}
	}
	c.Switch = c.UID != 0 || c.group != ""
	if why := a.barred(); why != "" {
		s.Load().Warn(pos, "app %q cannot start: %s", a.Name, why)
	}
	s.Load().Note(pos, "app %q runs as user %q%s when the server is started as root", a.Name, c.Name, c.reason)
	return nil
}

// choose looks up the user of the directive, or the one of ownerName if there is none.
func (c *credentials) choose(directory string, fronts []Front) error {
	name := c.user
	if name == "" {
		name, c.reason = ownerName(directory, fronts)
	}
	c.root = true
	return c.resolve(name, c.group)
}

func (a *App) identifySelf(n *config.Node) error {
	c := &a.credentials
	own := strconv.Itoa(os.Geteuid())
	c.Name = own
	if u, err := user.LookupId(own); err == nil {
		c.Name = u.Username
	}
	if n == nil {
		return nil
	}
	var other credentials
	name := c.user
	if name == "" {
		name = own
	}
	if err := other.resolve(name, c.group); err != nil {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("app %q: %s", a.Name, err)}
	}
	if other.UID != os.Geteuid() || c.group != "" && other.GID != os.Getegid() {
		return &config.Error{Pos: n.Args[0].Pos, Msg: fmt.Sprintf("app %q cannot run as %q: only root can change a worker's user or group, and this process is not root", a.Name, other.Name)}
	}
	return nil
}

// ownerName returns the owner of dir. For a folder of root it returns another user, since
// workers run as root only with "user root;". reason says why, for messages.
func ownerName(dir string, fronts []Front) (name, reason string) {
	if st, err := os.Stat(dir); err == nil {
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Uid != 0 {
			return strconv.Itoa(int(sys.Uid)), fmt.Sprintf(", the owner of %s", dir)
		}
	}
	if _, err := user.Lookup(AppUser); err == nil {
		return AppUser, fmt.Sprintf(", since %s belongs to root", dir)
	}
	reason = fmt.Sprintf(", since %s belongs to root and there is no user %q", dir, AppUser)
	var nobody credentials
	if nobody.resolve("nobody", "") != nil {
		return unnamed, reason
	}
	if f, shared := nobody.sharedBy(fronts); shared && f.Pos == (config.Pos{}) {
		return unnamed, reason
	}
	return "nobody", reason
}

func (c *credentials) resolve(name, group string) error {
	u, err := user.Lookup(name)
	if err != nil {
		if _, notNumber := config.ParseInt(name, 0, maxID); notNumber != nil {
			return fmt.Errorf("there is no user %q", name)
		}
		if u, err = user.LookupId(name); err != nil {
			u = &user.User{Uid: name, Gid: name, Username: name, HomeDir: "/"}
		}
	}
	c.Name, c.Home = u.Username, u.HomeDir
	c.UID, _ = strconv.Atoi(u.Uid)
	c.GID, _ = strconv.Atoi(u.Gid)
	ids, _ := u.GroupIds()
	c.Groups = c.Groups[:0]
	for _, id := range ids {
		if gid, err := strconv.Atoi(id); err == nil {
			c.Groups = append(c.Groups, gid)
		}
	}
	if group == "" {
		return nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		_, notNumber := config.ParseInt(group, 0, maxID)
		if g, err = user.LookupGroupId(group); err != nil || notNumber != nil {
			return fmt.Errorf("there is no group %q", group)
		}
	}
	c.GID, _ = strconv.Atoi(g.Gid)
	return nil
}

// reaches reports whether this user can execute path: it may pass every folder on the
// way, and run the file.
func (c credentials) reaches(path string) bool {
	if c.UID == 0 {
		return true
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	for ; ; real = filepath.Dir(real) {
		info, err := os.Stat(real)
		if err != nil || !c.executes(info) {
			return false
		}
		if real == filepath.Dir(real) {
			return true
		}
	}
}

// executes reports whether this user has the permission to execute a file, or to search a folder.
func (c credentials) executes(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	switch mode := info.Mode().Perm(); {
	case int(st.Uid) == c.UID:
		return mode&0o100 != 0
	case int(st.Gid) == c.GID || slices.Contains(c.Groups, int(st.Gid)):
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
