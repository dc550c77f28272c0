package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"alicorn/tls/acmetest"
)

// authorityPairs starts a certificate authority for a script whose files speak
// of one, and returns what stands for what in them:
//
//	__CA__                     the URL of its directory; $CA_ROOT is the file that its API is trusted by
//	__CA_ROOT__                that file
//	__CA_DNS__                 its name server, which gives every name the address 127.0.0.1
//	__CA_HOOK__                a command for acme_dns_hook
//	__CA_EAB_ID__, __CA_EAB__  the account that new ones must be bound to; there is none without them
//	__CA_CHAIN__               the name of the root of an alternate chain
//	__CA_ADDRESS__             an address of this machine that shop.example.com then has, and whose ports
//	                           80 and 443 are asked; without it they are __PORT2__ and __PORT__; $CA_ADDRESS
func authorityPairs(t testing.TB, env *testscript.Env, ports []string) []string {
	text := filesOf(t, env.WorkDir)
	if !strings.Contains(text, "__CA") {
		return nil
	}
	o := acmetest.Options{ExternalAccount: strings.Contains(text, "__CA_EAB__"), HTTPPort: 80, TLSPort: 443}
	address := ""
	if strings.Contains(text, "__CA_ADDRESS__") {
		address = quietAddress(t)
	} else {
		o.TLSPort, _ = strconv.Atoi(ports[0])
		o.HTTPPort, _ = strconv.Atoi(ports[1])
	}
	if strings.Contains(text, "__CA_CHAIN__") {
		o.AlternateRoots = 1
	}
	ca := acmetest.Start(t, o)
	chain := ""
	if o.AlternateRoots > 0 {
		chain = ca.RootName(1)
	}
	if address != "" {
		ca.Resolve("shop.example.com", address)
	}
	id, key := ca.ExternalAccount()
	env.Setenv("CA_ROOT", ca.RootFile())
	env.Setenv("CA_ADDRESS", address)
	env.Setenv("CA_CHAIN", chain)
	return []string{"__CA__", ca.Directory(), "__CA_ROOT__", ca.RootFile(), "__CA_DNS__", ca.DNS(), "__CA_HOOK__", ca.DNSHook(),
		"__CA_EAB_ID__", id, "__CA_EAB__", key, "__CA_CHAIN__", chain, "__CA_ADDRESS__", address}
}

// filesOf is the text of the configurations, and of .txt files, in dir.
func filesOf(t testing.TB, dir string) string {
	files, err := filepath.Glob(filepath.Join(dir, "*.[ct][ox]*"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
