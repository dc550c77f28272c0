package proxy

import "log/slog"

// Level is a severity of the error log, as nginx's error_log names them.
type Level = slog.Level

// nginx's levels on slog's scale.
const (
	LevelDebug  Level = slog.LevelDebug
	LevelInfo   Level = slog.LevelInfo
	LevelNotice Level = 2
	LevelWarn   Level = slog.LevelWarn
	LevelError  Level = slog.LevelError
	LevelCrit   Level = 12
	LevelAlert  Level = 16
	LevelEmerg  Level = 20
	// LevelLife is for what becomes of the server itself: that it starts, loads
	// its configuration anew, stops. It is logged as a notice, whatever the level
	// of error_log is.
	LevelLife Level = 24
)
