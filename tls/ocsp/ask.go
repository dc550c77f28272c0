package ocsp

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	maxResponse = 64 << 10
	maxGET      = 255 // RFC 5019 section 5: a longer question is sent with POST
	skew        = 5 * time.Minute
	// undated is how long a response without nextUpdate is used. Such a response says that
	// there is always a newer one.
	undated = time.Hour
)

// ask asks the responder once, and verifies the response.
func (s *Staples) ask(ctx context.Context, t *Staple) (*response, error) {
	question, err := ocsp.CreateRequest(t.cert, t.issuer, nil)
	if err != nil {
		return nil, err
	}
	req, err := requestFor(ctx, t.key.url, question)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		var long *url.Error // its text would have the whole question
		if errors.As(err, &long) {
			err = long.Err
		}
		return nil, fmt.Errorf("cannot ask %s: %w", t.key.url, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", t.key.url, res.Status)
	}
	der, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	if err != nil {
		return nil, err
	}
	if len(der) > maxResponse {
		return nil, fmt.Errorf("%s answers with more than %d bytes", t.key.url, maxResponse)
	}
	return judge(der, t.cert, t.issuer, s.now())
}

// requestFor returns the same request as nginx makes, so that caches of responders have the
// response.
func requestFor(ctx context.Context, responder string, question []byte) (*http.Request, error) {
	get := strings.TrimSuffix(responder, "/") + "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(question))
	if len(get) <= maxGET {
		return http.NewRequestWithContext(ctx, http.MethodGet, get, nil)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, responder, bytes.NewReader(question))
	if err == nil {
		req.Header.Set("Content-Type", "application/ocsp-request")
	}
	return req, err
}

// judge returns the response in der if it says that cert is good at time now, and if issuer,
// or a responder that issuer has authorised, has signed it.
func judge(der []byte, cert, issuer *x509.Certificate, now time.Time) (*response, error) {
	r, err := ocsp.ParseResponseForCert(der, cert, issuer)
	if err != nil {
		return nil, fmt.Errorf("the response cannot be used: %s", strings.TrimPrefix(err.Error(), "ocsp: "))
	}
	if by := r.Certificate; by != nil && !by.Equal(issuer) && (!slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || now.After(by.NotAfter)) {
		return nil, errors.New("the response is signed by a certificate that may not sign it")
	}
	until := r.NextUpdate
	if until.IsZero() {
		until = now.Add(undated)
	}
	switch {
	case r.Status == ocsp.Revoked:
		return nil, fmt.Errorf("the certificate was revoked on %s", r.RevokedAt.UTC().Format(time.DateOnly))
	case r.Status != ocsp.Good:
		return nil, errors.New("the responder does not know the certificate")
	case r.ThisUpdate.After(now.Add(skew)):
		return nil, errors.New("the response is not valid yet")
	case now.After(until):
		return nil, errors.New("the response has expired")
	}
	return &response{der, until}, nil
}
