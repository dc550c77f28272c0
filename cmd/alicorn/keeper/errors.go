package keeper

import "errors"

var (
	errForeignLink = errors.New("it is a symbolic link of another user")
	errInUse       = errors.New("another server accepts connections there")
	errGone        = errors.New("the front ended")
	errStopping    = errors.New("the server is stopping")
)
