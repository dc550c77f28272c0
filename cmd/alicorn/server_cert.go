package main

import (
	"context"
	"errors"

	"alicorn/cmd/alicorn/control"
	"alicorn/proxy/acme"
)

// Certificates implements control.Server.
func (s *server) Certificates() []control.Certificate {
	all := []control.Certificate{}
	if source := acme.SourceOf(s.loaded().generation); source != nil {
		for _, st := range source.Status() {
			all = append(all, control.Certificate(st))
		}
	}
	return all
}

// RenewCertificate implements control.Server.
func (s *server) RenewCertificate(ctx context.Context, name string) error {
	source := acme.SourceOf(s.loaded().generation)
	if source == nil {
		return errors.New("this server has no automatic certificates")
	}
	return source.Renew(ctx, name)
}
