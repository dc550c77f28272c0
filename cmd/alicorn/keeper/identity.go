package keeper

import (
	"fmt"
	"os/user"
	"strconv"

	"alicorn/config/osfile"
)

// Identity is a user to run as.
type Identity struct {
	Name     string
	UID, GID int
	Groups   []int // supplementary ones
}

// Files returns id as package osfile has users.
func (id Identity) Files() osfile.User {
	return osfile.User{UID: id.UID, GID: id.GID, Groups: id.Groups}
}

// LookupIdentity finds a user by name, and its group as nginx does: the group
// given, else the one with the user's name, else the user's primary group.
func LookupIdentity(name, group string) (Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Identity{}, fmt.Errorf("there is no user %q", name)
	}
	id := Identity{Name: name}
	id.UID, _ = strconv.Atoi(u.Uid)
	id.GID, _ = strconv.Atoi(u.Gid)
	wanted := group
	if wanted == "" {
		wanted = name
	}
	g, err := user.LookupGroup(wanted)
	switch {
	case err == nil:
		id.GID, _ = strconv.Atoi(g.Gid)
	case group != "":
		return Identity{}, fmt.Errorf("there is no group %q", group)
	}
	ids, _ := u.GroupIds()
	for _, text := range ids {
		if n, err := strconv.Atoi(text); err == nil {
			id.Groups = append(id.Groups, n)
		}
	}
	return id, nil
}

// DefaultIdentity returns nginx's default user: www-data as Debian builds it, else nobody.
func DefaultIdentity() Identity {
	for _, name := range []string{"www-data", "nobody"} {
		if id, err := LookupIdentity(name, ""); err == nil {
			return id
		}
	}
	return Identity{Name: "65534", UID: 65534, GID: 65534}
}
