package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// account is the account with one authority. The first order registers it, in one of the
// processes that share a state.
type account struct {
	issuer  *Issuer
	storage certmagic.Storage // where the account is kept
	http    *http.Client
	limit   *limit

	mu   sync.Mutex
	have *acme.Account // nil: not loaded
}

func (a *account) path() string { return "accounts/" + a.issuer.key() }

// get returns the registered account: the one in memory, the stored one, or a new one.
func (a *account) get(ctx context.Context, c *acmez.Client) (acme.Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.have != nil {
		return *a.have, nil
	}
	lock := "account_" + a.issuer.key()
	if err := a.storage.Lock(ctx, lock); err != nil {
		return acme.Account{}, fmt.Errorf("cannot lock the account: %w", err)
	}
	defer a.storage.Unlock(context.WithoutCancel(ctx), lock)
	got, err := a.load(ctx)
	switch {
	case err == nil && !slices.Equal(got.Contact, a.issuer.Contacts) && len(a.issuer.Contacts) > 0:
		got.Contact = a.issuer.Contacts
		if got, err = c.UpdateAccount(ctx, got); err == nil {
			err = a.save(ctx, got)
		}
	case errors.Is(err, fs.ErrNotExist):
		got, err = a.register(ctx, c)
	}
	if err != nil {
		return acme.Account{}, err
	}
	a.have = &got
	return got, nil
}

func (a *account) load(ctx context.Context) (acme.Account, error) {
	var got acme.Account
	content, err := a.storage.Load(ctx, a.path()+"/account.json")
	if err != nil {
		return got, err
	}
	key := []byte(a.issuer.AccountKey)
	if len(key) == 0 {
		if key, err = a.storage.Load(ctx, a.path()+"/account.key"); err != nil {
			return got, err
		}
	}
	if err := json.Unmarshal(content, &got); err != nil {
		return got, fmt.Errorf("cannot read the stored account: %w", err)
	}
	got.PrivateKey, err = certmagic.PEMDecodePrivateKey(key)
	return got, err
}

// register makes the account. It stores the key first: an account without its key would be
// lost.
func (a *account) register(ctx context.Context, c *acmez.Client) (none acme.Account, err error) {
	fresh := acme.Account{Contact: a.issuer.Contacts, TermsOfServiceAgreed: a.issuer.AcceptTerms}
	if err := a.agree(ctx, c); err != nil {
		return none, err
	}
	key, err := a.key(ctx)
	if err != nil {
		return none, err
	}
	if fresh.PrivateKey, err = certmagic.PEMDecodePrivateKey(key); err != nil {
		return none, err
	}
	if a.issuer.EABKey != "" {
		eab := acme.EAB{KeyID: a.issuer.EABKey, MACKey: a.issuer.EABSecret}
		if err := fresh.SetExternalAccountBinding(ctx, c.Client, eab); err != nil {
			return none, err
		}
	}
	got, err := c.NewAccount(ctx, fresh)
	if err != nil {
		return none, err
	}
	return got, a.save(ctx, got)
}

// agree returns an error if the authority has terms that the configuration does not accept.
func (a *account) agree(ctx context.Context, c *acmez.Client) error {
	dir, err := c.GetDirectory(ctx)
	if err != nil {
		return err
	}
	if dir.Meta != nil && dir.Meta.TermsOfService != "" && !a.issuer.AcceptTerms {
		return fmt.Errorf("it has terms of service at %s; accept_terms_of_service in its acme_issuer agrees to them", dir.Meta.TermsOfService)
	}
	return nil
}

// key returns the account's private key in PEM: the operator's, a stored one, or a new one,
// which it stores.
func (a *account) key(ctx context.Context) ([]byte, error) {
	if a.issuer.AccountKey != "" {
		return []byte(a.issuer.AccountKey), nil
	}
	content, err := a.storage.Load(ctx, a.path()+"/account.key")
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	key, err := generator{keyTypes[a.issuer.KeyType]}.GenerateKey()
	if err != nil {
		return nil, err
	}
	if content, err = certmagic.PEMEncodePrivateKey(key); err != nil {
		return nil, err
	}
	if err := a.storage.Store(ctx, a.path()+"/account.key", content); err != nil {
		return nil, fmt.Errorf("cannot store the account's key: %w", err)
	}
	return content, nil
}

func (a *account) save(ctx context.Context, got acme.Account) error {
	content, err := json.Marshal(got)
	if err != nil {
		return err
	}
	if err := a.storage.Store(ctx, a.path()+"/account.json", content); err != nil {
		return fmt.Errorf("cannot store the account: %w", err)
	}
	return nil
}

// forget drops an account that the authority does not know any more.
func (a *account) forget(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.have = nil
	return a.storage.Delete(ctx, a.path()+"/account.json")
}
