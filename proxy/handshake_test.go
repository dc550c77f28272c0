package proxy

import (
	"errors"
	"testing"
)

func TestOnlyHandshakesThatFailThroughUsAreErrors(t *testing.T) {
	for text, want := range map[string]Level{
		"tls: failed to sign handshake: crypto/rsa: key too small": LevelError,
		"tls: internal error: unsupported key type (*ed25519.Key)": LevelError,
		"tls: client offered only unsupported versions: [301]":     LevelInfo,
		"remote error: tls: internal error":                        LevelInfo,
	} {
		if got, _ := handshakeFault(errors.New(text)); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
