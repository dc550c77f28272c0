package keeper

import "errors"

var (
	errForeignLink = errors.New("it is a symbolic link of another user")
	errInUse       = errors.New("another server accepts connections there")
	errStopping    = errors.New("the server is stopping")
	errKeeperGone  = errors.New("the keeper process has ended")
)
