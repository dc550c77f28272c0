package osfile

import (
	"os/user"
	"strconv"
)

// User is a user and its groups, as the file system checks them. The zero User is root.
type User struct {
	UID, GID int
	Groups   []int // supplementary ones
}

// nobodyGroup is the group of a user for which the system has no entry.
const nobodyGroup = 65534

// UserOf returns the user with that number, with its groups from the system's databases.
func UserOf(uid int) User {
	id := User{UID: uid, GID: nobodyGroup}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return id
	}
	if gid, err := strconv.Atoi(u.Gid); err == nil {
		id.GID = gid
	}
	texts, _ := u.GroupIds() // an error leaves the user with fewer rights
	for _, text := range texts {
		if gid, err := strconv.Atoi(text); err == nil {
			id.Groups = append(id.Groups, gid)
		}
	}
	return id
}

// Name returns the user's name; "number N" if it has none.
func (u User) Name() string {
	text := strconv.Itoa(u.UID)
	if known, err := user.LookupId(text); err == nil {
		return known.Username
	}
	return "number " + text
}
