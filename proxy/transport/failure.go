package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"alicorn/proxy"
)

// note writes a line that belongs to the connection, and to no request, to the
// log of the address's default server.
func (o *opening) note(level proxy.Level, text string) {
	site := o.e.Site(o.info)
	if site == nil || site.Default.Root.Core.ErrorLog == nil {
		return
	}
	l := site.Default.Root.Core.ErrorLog
	if l.Enabled(context.Background(), level) {
		l.LogAttrs(context.Background(), level, text+", client: "+o.info.RemoteAddr+", server: "+o.info.Listener.Address, slog.Uint64("cid", o.info.ID))
	}
}

// fail notes err, which brought an end to what the connection was doing: at info,
// since anyone who connects can bring it about, where fault knows no other level.
// An end that we have brought about is no failure.
func (o *opening) fail(err error, doing string, fault func(err error) (proxy.Level, string)) {
	if o.state.Load() == stateClosed {
		return
	}
	level, why := fault(err)
	o.note(level, why+" "+doing)
}

// wireFault says in nginx's words what became of the client; "": it is none of
// the client's leaving.
func wireFault(err error, doing string) string {
	switch {
	case errors.Is(err, io.EOF):
		return "client closed connection"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "peer closed connection in " + doing
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "client timed out"
	}
	return ""
}

// headerFault says whose fault err of the PROXY header is. A broken header is an
// error as in nginx: the proxy in front and this address disagree.
func headerFault(err error) (level proxy.Level, why string) {
	if why = wireFault(err, "PROXY header"); why != "" {
		return proxy.LevelInfo, why
	}
	return proxy.LevelError, err.Error()
}

// handshakeFault says in nginx's words, where it has some, whose fault err of
// crypto/tls is: an error where it is ours.
func handshakeFault(err error) (level proxy.Level, why string) {
	if fail := (*proxy.Fail)(nil); errors.As(err, &fail) {
		return fail.Level, fail.Reason
	}
	if why = wireFault(err, "SSL handshake"); why != "" {
		return proxy.LevelInfo, why
	}
	level = proxy.LevelInfo
	switch text := err.Error(); {
	case text == "tls: no certificates configured": // what ssl_reject_handshake comes down to
		return level, "handshake rejected"
	case strings.HasPrefix(text, "tls: failed to sign"), strings.HasPrefix(text, "tls: internal error"):
		level = proxy.LevelError
	}
	return level, "SSL handshake failed (" + err.Error() + ")"
}
