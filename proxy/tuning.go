package proxy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"alicorn/config"
)

// Tuning is the socket options of a listen directive that may change while the socket
// listens. Accepted connections inherit them. The zero value leaves all of them to the
// system.
type Tuning struct {
	Deferred      bool  // TCP_DEFER_ACCEPT: a connection is accepted when it has sent something
	FastOpen      int   // TCP_FASTOPEN: how many connections that sent data with their SYN may wait
	ReceiveBuffer int64 // SO_RCVBUF, bytes
	SendBuffer    int64 // SO_SNDBUF, bytes
	KeepAlive     KeepAlive
}

// KeepAlive is listen's so_keepalive: probes on a silent connection.
type KeepAlive struct {
	Set, On     bool          // listen has so_keepalive; SO_KEEPALIVE
	Idle, Every time.Duration // TCP_KEEPIDLE and TCP_KEEPINTVL, whole seconds; 0: the system's
	Count       int           // TCP_KEEPCNT: how many unanswered probes end a connection; 0: the system's
}

// maxBuffer is the largest buffer of a socket that can be asked for: the kernel doubles
// the value, which is a C int.
const maxBuffer = math.MaxInt32 / 2

// parse reads one parameter of listen. known is false if the parameter is not in Tuning.
func (t *Tuning) parse(name, value string) (known bool, err error) {
	switch name {
	case "deferred":
		t.Deferred = true
	case "fastopen":
		t.FastOpen, err = config.ParseInt(value, 0, math.MaxInt32)
	case "rcvbuf":
		t.ReceiveBuffer, err = config.ParseSizeIn(value, 0, maxBuffer)
	case "sndbuf":
		t.SendBuffer, err = config.ParseSizeIn(value, 0, maxBuffer)
	case "so_keepalive":
		t.KeepAlive, err = parseKeepAlive(value)
	default:
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("%s of listen: %w", name, err)
	}
	return true, nil
}

// parseKeepAlive reads on, off or IDLE:INTERVAL:COUNT. Each of the three may be left out,
// but not all.
func parseKeepAlive(value string) (k KeepAlive, err error) {
	k.Set = true
	switch value {
	case "on":
		k.On = true
		return k, nil
	case "off":
		return k, nil
	}
	parts := strings.Split(value, ":")
	if len(parts) > 3 || strings.Trim(value, ":") == "" {
		return k, fmt.Errorf("%q is not on, off or IDLE:INTERVAL:COUNT", value)
	}
	parts = append(parts, "", "")
	k.On = true
	if k.Idle, err = parseProbeTime(parts[0]); err != nil {
		return k, err
	}
	if k.Every, err = parseProbeTime(parts[1]); err != nil {
		return k, err
	}
	if parts[2] != "" {
		k.Count, err = config.ParseInt(parts[2], 1, 127)
	}
	return k, err
}

// parseProbeTime reads a time of whole seconds, from 1 to 32767 as the kernel takes them;
// "" is 0.
func parseProbeTime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := config.ParseTime(text)
	if err != nil {
		return 0, err
	}
	if d = d.Truncate(time.Second); d < time.Second || d > math.MaxInt16*time.Second {
		return 0, fmt.Errorf("time %q is not from 1s to %ds", text, math.MaxInt16)
	}
	return d, nil
}

// tune sets the options of t on l's socket. A buffer, time or count that the configuration
// before has set and t has not stays as it is: the system does not tell its default.
func (l *Listener) tune(t Tuning) error {
	if t == l.tuned {
		return nil
	}
	var errs []error
	err := l.control(func(fd int) {
		for _, o := range t.options(l.tuned, l.Network != "unix") {
			if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
				errs = append(errs, fmt.Errorf("%s of listen: %w", o.word, err))
			}
		}
	})
	l.tuned = t
	return errors.Join(append(errs, err)...)
}

// socketOption is one call of setsockopt.
type socketOption struct {
	word               string
	level, name, value int
}

// options lists the options to set on a socket that has those of before. Options that
// neither sets are left alone.
func (t Tuning) options(before Tuning, tcp bool) []socketOption {
	var all []socketOption
	set := func(differs bool, word string, level, name, value int) {
		if differs {
			all = append(all, socketOption{word, level, name, value})
		}
	}
	set(t.ReceiveBuffer > 0 && t.ReceiveBuffer != before.ReceiveBuffer, "rcvbuf", unix.SOL_SOCKET, unix.SO_RCVBUF, int(t.ReceiveBuffer))
	set(t.SendBuffer > 0 && t.SendBuffer != before.SendBuffer, "sndbuf", unix.SOL_SOCKET, unix.SO_SNDBUF, int(t.SendBuffer))
	set(t.KeepAlive.On != before.KeepAlive.On || t.KeepAlive.Set && !before.KeepAlive.Set, "so_keepalive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, number(t.KeepAlive.On))
	if !tcp {
		return all
	}
	k, was := t.KeepAlive, before.KeepAlive
	set(k.Idle > 0 && k.Idle != was.Idle, "so_keepalive", unix.IPPROTO_TCP, tcpKeepIdle, int(k.Idle.Seconds()))
	set(k.Every > 0 && k.Every != was.Every, "so_keepalive", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(k.Every.Seconds()))
	set(k.Count > 0 && k.Count != was.Count, "so_keepalive", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count)
	set(t.Deferred != before.Deferred, "deferred", unix.IPPROTO_TCP, tcpDeferAccept, number(t.Deferred))
	set(t.FastOpen != before.FastOpen, "fastopen", unix.IPPROTO_TCP, unix.TCP_FASTOPEN, t.FastOpen)
	return all
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
