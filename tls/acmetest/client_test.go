package acmetest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"alicorn/tls/acmetest"
)

// client is the least that RFC 8555 takes to order a certificate.
type client struct {
	t     *testing.T
	http  *http.Client
	key   *ecdsa.PrivateKey
	dir   struct{ NewNonce, NewAccount, NewOrder string }
	kid   string
	nonce string
}

// order is an order or an authorization.
type order struct {
	Status         string
	Authorizations []string
	Finalize       string
	Certificate    string
	Challenges     []struct{ Type, URL, Token string }
	Type           string // of a problem
}

func newClient(t *testing.T, ca *acmetest.CA) *client {
	t.Helper()
	c := &client{t: t, http: trusting(t, ca), key: newKey(t)}
	res, err := c.http.Get(ca.Directory())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&c.dir); err != nil {
		t.Fatal(err)
	}
	c.register()
	return c
}

func (c *client) register() {
	c.t.Helper()
	res, _ := c.post(c.dir.NewAccount, map[string]any{"termsOfServiceAgreed": true})
	if c.kid = res.Header.Get("Location"); c.kid == "" {
		c.t.Fatalf("no account: %s", res.Status)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (c *client) jwk() map[string]string {
	point, err := c.key.PublicKey.Bytes()
	if err != nil {
		c.t.Fatal(err)
	}
	return map[string]string{"crv": "P-256", "kty": "EC", "x": b64(point[1:33]), "y": b64(point[33:])}
}

// post signs v, nil for a POST-as-GET, and returns the answer.
func (c *client) post(url string, v any) (*http.Response, []byte) {
	c.t.Helper()
	if c.nonce == "" {
		res, err := c.http.Head(c.dir.NewNonce)
		if err != nil {
			c.t.Fatal(err)
		}
		res.Body.Close()
		c.nonce = res.Header.Get("Replay-Nonce")
	}
	head := map[string]any{"alg": "ES256", "nonce": c.nonce, "url": url}
	if c.kid != "" {
		head["kid"] = c.kid
	} else {
		head["jwk"] = c.jwk()
	}
	protected, payload := b64(c.json(head)), ""
	if v != nil {
		payload = b64(c.json(v))
	}
	sum := sha256.Sum256([]byte(protected + "." + payload))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, sum[:])
	if err != nil {
		c.t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	body := c.json(map[string]string{"protected": protected, "payload": payload, "signature": b64(signature)})
	res, err := c.http.Post(url, "application/jose+json", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nonce = res.Header.Get("Replay-Nonce")
	return res, text
}

func (c *client) json(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

func (c *client) read(url string, v any) (o order, res *http.Response) {
	c.t.Helper()
	res, text := c.post(url, v)
	into := any(&o)
	if res.StatusCode >= 400 { // its status is a number
		into = &struct{ Type *string }{&o.Type}
	}
	if err := json.Unmarshal(text, into); err != nil {
		c.t.Fatalf("%s: %s: %v: %s", url, res.Status, err, text)
	}
	return o, res
}

// begin orders a certificate for name.
func (c *client) begin(name string) (o order, url string, res *http.Response) {
	c.t.Helper()
	o, res = c.read(c.dir.NewOrder, map[string]any{"identifiers": []any{map[string]string{"type": "dns", "value": name}}})
	return o, res.Header.Get("Location"), res
}

// prove has the first challenge of o's first name validated, after answer was
// called with its token and key authorization.
func (c *client) prove(o order, answer func(token, authorization string)) {
	c.t.Helper()
	authz, _ := c.read(o.Authorizations[0], nil)
	key := c.jwk()
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, key["x"], key["y"]))
	challenge := authz.Challenges[0]
	answer(challenge.Token, challenge.Token+"."+b64(sum[:]))
	c.post(challenge.URL, struct{}{})
	c.await(o.Authorizations[0], "valid")
}

// await polls an order or an authorization until it has come to its end.
func (c *client) await(url, status string) (o order) {
	c.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); o.Status != status; time.Sleep(5 * time.Millisecond) {
		if o, _ = c.read(url, nil); o.Status != status && (o.Status == "valid" || o.Status == "invalid" || time.Now().After(deadline)) {
			c.t.Fatalf("%s is %s, not %s", url, o.Status, status)
		}
	}
	return o
}

// finalize asks for the certificate for name.
func (c *client) finalize(o order, name string) {
	c.t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, newKey(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	c.post(o.Finalize, map[string]string{"csr": b64(csr)})
}

// download returns the chain of a finalised order.
func (c *client) download(orderURL string) (chain []*x509.Certificate) {
	c.t.Helper()
	_, text := c.post(c.await(orderURL, "valid").Certificate, nil)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			c.t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	return chain
}

// trusting returns a client that trusts the authority's API.
func trusting(t *testing.T, ca *acmetest.CA) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(readFile(t, ca.RootFile())) {
		t.Fatal("no certificate in RootFile")
	}
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
}
