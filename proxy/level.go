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
	// LevelLife is for events of the server itself: it starts, reloads or stops. Such
	// a line is logged as a notice, whatever the level of error_log is.
	LevelLife Level = 24
)
