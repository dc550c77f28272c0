package transport

import (
	"errors"
	"testing"

	"alicorn/proxy"
)

func TestOnlyHandshakesThatFailThroughUsAreErrors(t *testing.T) {
	for text, want := range map[string]proxy.Level{
		"tls: failed to sign handshake: crypto/rsa: key too small": proxy.LevelError,
		"tls: internal error: unsupported key type (*ed25519.Key)": proxy.LevelError,
		"tls: client offered only unsupported versions: [301]":     proxy.LevelInfo,
		"remote error: tls: internal error":                        proxy.LevelInfo,
	} {
		if got, _ := handshakeFault(errors.New(text)); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
