package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// orders orders certificates for one Want from one Issuer. It implements
// certmagic.Issuer.
type orders struct {
	issuer     *Issuer
	want       *Want
	challenges *challenges
	account    *account          // the account with the issuer, which all its names share
	storage    certmagic.Storage // where the certificate is kept
	reach      *reach
}

// orderTimeout bounds one order with its challenges.
const orderTimeout = 15 * time.Minute

// IssuerKey implements certmagic.Issuer. It is the folder for certificates.
func (o *orders) IssuerKey() string { return o.issuer.key() }

// Issue implements certmagic.Issuer. It orders the certificate that csr describes.
func (o *orders) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	try := attemptOf(ctx)
	if try == nil {
		return nil, errNotAsked
	}
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	own := &limit{}
	cert, err := o.issue(context.WithValue(ctx, limitKey{}, own), csr)
	if err != nil {
		err = &orderError{o.issuer.Label(), own.explain(o.account.limit.explain(err))}
		try.add(err)
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: cert.ChainPEM, Metadata: cert}, nil
}

// orderError is an error of an order, with the name of the authority.
type orderError struct {
	issuer string
	err    error
}

// Error names the authority and the cause.
func (e *orderError) Error() string { return e.issuer + ": " + plain(e.err) }

// Unwrap gives the cause.
func (e *orderError) Unwrap() error { return e.err }

func (o *orders) issue(ctx context.Context, csr *x509.CertificateRequest) (none acme.Certificate, err error) {
	can := o.want.challenges(o.issuer)
	if len(can) == 0 {
		return none, o.nothingToAnswer()
	}
	if err := o.account.limit.wait(); err != nil {
		return none, err
	}
	if !slices.Equal(can, []string{DNS01}) {
		if err := o.reach.check(ctx, o.want.Name, o.challenges); err != nil {
			return none, err
		}
	}
	client := o.client(can)
	for range 2 {
		registered, err := o.account.get(ctx, client)
		if err != nil {
			return none, err
		}
		params, err := acmez.OrderParametersFromCSR(registered, csr)
		if err != nil {
			return none, err
		}
		params.Profile, params.Replaces = o.profile(ctx, client), o.replaced(ctx)
		chains, err := client.ObtainCertificate(ctx, params)
		var p acme.Problem
		if errors.As(err, &p) && p.Type == acme.ProblemTypeAccountDoesNotExist && o.issuer.AccountKey == "" {
			// The authority has lost the account, for example because it was set up anew.
			if err := o.account.forget(ctx); err != nil {
				return none, err
			}
			continue
		}
		if err != nil {
			return none, err
		}
		return o.choose(chains)
	}
	return none, errors.New("it does not know the account that it has just registered")
}

// nothingToAnswer returns the error that says why no challenge can be used.
func (o *orders) nothingToAnswer() error {
	switch {
	case strings.HasPrefix(o.want.Name, "*."):
		return errors.New("a wildcard needs acme_dns_hook: authorities verify it by DNS-01 only")
	case o.issuer.Challenge != "":
		return fmt.Errorf("challenge %s cannot be answered by any listener", o.issuer.Challenge)
	}
	return errors.New("no listener can answer a challenge: neither port 80 for HTTP-01 nor port 443 for TLS-ALPN-01 is served")
}

// client returns an ACME client whose challenges only the server's listeners answer.
func (o *orders) client(can []string) *acmez.Client {
	c := &acmez.Client{
		Client: &acme.Client{
			Directory: o.issuer.Directory, UserAgent: "alicorn", PollTimeout: 5 * time.Minute,
			HTTPClient: o.account.http,
		},
		ChallengeSolvers: map[string]acmez.Solver{},
	}
	for _, kind := range can {
		if kind == DNS01 {
			c.ChallengeSolvers[kind] = hook{o.want.DNSHook}
		} else {
			c.ChallengeSolvers[kind] = solver{o.challenges, o.storage}
		}
	}
	return c
}

// profile returns the profile to ask for: the issuer's, or "" if the authority does not offer
// that and it is not required.
func (o *orders) profile(ctx context.Context, c *acmez.Client) string {
	name := o.issuer.Profile
	if name == "" || o.issuer.RequireProfile {
		return name
	}
	dir, err := c.GetDirectory(ctx)
	if err != nil || dir.Meta == nil {
		return ""
	}
	if _, ok := dir.Meta.Profiles[name]; !ok {
		return ""
	}
	return name
}

// replaced returns the stored certificate that an order replaces, so that the
// authority counts the order as a renewal (RFC 9773 section 5).
func (o *orders) replaced(ctx context.Context) *x509.Certificate {
	content, err := o.storage.Load(ctx, certmagic.StorageKeys.SiteCert(o.issuer.key(), o.want.Name))
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil || len(leaf.AuthorityKeyId) == 0 {
		return nil
	}
	return leaf
}

// choose returns the preferred chain, or else the first one.
func (o *orders) choose(chains []acme.Certificate) (acme.Certificate, error) {
	if len(chains) == 0 {
		return acme.Certificate{}, errors.New("it gave no certificate")
	}
	for _, c := range chains {
		if o.issuer.PreferredChain != "" && topIssuer(c.ChainPEM) == o.issuer.PreferredChain {
			return c, nil
		}
	}
	return chains[0], nil
}

// topIssuer returns the common name of the issuer of a chain's last certificate.
func topIssuer(chain []byte) (name string) {
	for {
		var block *pem.Block
		if block, chain = pem.Decode(chain); block == nil {
			return name
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			name = c.Issuer.CommonName
		}
	}
}

// GetRenewalInfo implements certmagic.RenewalInfoGetter (RFC 9773).
func (o *orders) GetRenewalInfo(ctx context.Context, cert certmagic.Certificate) (acme.RenewalInfo, error) {
	return o.client(nil).GetRenewalInfo(ctx, cert.Leaf)
}

// newHTTP returns the client for an authority's API. A request may take one minute, of which
// it waits at most 30 s for the head of the answer.
func newHTTP(i *Issuer, r *reach, l *limit) *http.Client {
	config := &tls.Config{InsecureSkipVerify: i.Insecure}
	if i.Roots != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(i.Roots))
	}
	return &http.Client{Timeout: time.Minute, Transport: &limited{limit: l, next: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: r.dial, TLSClientConfig: config, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
	}}}
}

// plain returns the text of a library's error in one sentence.
func plain(err error) string {
	var p acme.Problem
	var u *url.Error
	var l *limitError
	switch {
	case errors.As(err, &l):
		return l.Error()
	case errors.As(err, &p):
		kind := strings.TrimPrefix(p.Type, "urn:ietf:params:acme:error:")
		text := p.Detail
		for _, sub := range p.Subproblems {
			text += "; " + sub.Detail
		}
		if text == "" {
			text = p.Title
		}
		return kind + ": " + text
	case errors.As(err, &u):
		return "cannot reach " + u.URL + ": " + u.Err.Error()
	}
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	if strings.Contains(text, "target container") { // acmez's error for an answer that is not JSON
		return "it answers with something other than ACME"
	}
	return text
}
