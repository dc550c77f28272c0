package main

import (
	"context"
	"errors"

	"alicorn/cmd/alicorn/control"
	"alicorn/tls/acme"
)

// certificateSource is where the current configuration's automatic certificates
// come from; nil when it has none.
func (s *server) certificateSource() (source *acme.Source) {
	s.loaded().generation.Resources.Each(func(_ string, v any) {
		if a, ok := v.(*acme.Source); ok {
			source = a
		}
	})
	return source
}

// Certificates implements control.Server.
func (s *server) Certificates() []control.Certificate {
	all := []control.Certificate{}
	if source := s.certificateSource(); source != nil {
		for _, st := range source.Status() {
			all = append(all, control.Certificate(st))
		}
	}
	return all
}

// RenewCertificate implements control.Server.
func (s *server) RenewCertificate(ctx context.Context, name string) error {
	source := s.certificateSource()
	if source == nil {
		return errors.New("no certificates are obtained automatically here")
	}
	return source.Renew(ctx, name)
}
