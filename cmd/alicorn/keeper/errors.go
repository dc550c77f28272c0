package keeper

import "errors"

var (
	errInUse      = errors.New("another server accepts connections there")
	errStopping   = errors.New("the server is stopping")
	errKeeperGone = errors.New("the keeper process has ended")
)
