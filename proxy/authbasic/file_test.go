package authbasic

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"alicorn/proxy"
	"alicorn/proxy/proxytest"
)

func TestFilesAreRememberedWhileTheyAreUnchanged(t *testing.T) {
	var f files
	path := filepath.Join(t.TempDir(), "users")
	read := func() *table {
		t.Helper()
		tab, err := f.of(path)
		if err != nil {
			t.Fatal(err)
		}
		return tab
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a:{PLAIN}x\nb:{PLAIN}y\n")
	first := read()
	if read() == first {
		t.Error("a file that has just changed is not read again")
	}
	first.settled = true
	f.put(path, first)
	if read() != first {
		t.Error("a file is read again without a change")
	}
	first.users["a"].proof.Store(&proof{})
	first.users["b"].proof.Store(&proof{})
	write("a:{PLAIN}x\nb:{PLAIN}z\n")
	if now := read(); now == first || now.users["a"].proof.Load() == nil || now.users["b"].proof.Load() != nil {
		t.Error("of a changed file the proofs of changed entries alone are forgotten")
	}
}

func TestAFileSettles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if tab, err := readTable(path); err != nil || tab.settled {
		t.Errorf("the time of the last change of its entry counts as well: %v", err)
	}
	proxytest.Eventually(t, func() bool {
		tab, err := readTable(path)
		return err == nil && tab.settled
	}, "the file does not settle")
}

func TestFilesAreBounded(t *testing.T) {
	var f files
	dir := t.TempDir()
	for i := range maxFiles * 2 {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte("a:{PLAIN}x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := f.of(path); err != nil || len(f.byPath) > maxFiles {
			t.Fatalf("%d files, %v; want at most %d", len(f.byPath), err, maxFiles)
		}
	}
	if _, err := f.of(filepath.Join(dir, "none")); err == nil || f.byPath[filepath.Join(dir, "none")] != nil {
		t.Error("what is not there is remembered")
	}
}

func TestOnlyRegularFilesOfABoundedSizeAreRead(t *testing.T) {
	dir := t.TempDir()
	pipe, large := filepath.Join(dir, "pipe"), filepath.Join(dir, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	var f files
	for path, want := range map[string]string{pipe: "it is a named pipe", large: "larger than 4 MiB", dir: "is a directory"} {
		if _, err := f.of(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want an error with %q", path, err, want)
		}
	}
}

func TestChallengesAreWellFormed(t *testing.T) {
	for realm, want := range map[string]string{
		"a b":           `"a b"`,
		"":              `""`,
		`say "x"`:       `"say \"x\""`,
		`say \"x\"`:     `"say \"x\""`,
		`a\b`:           `"a\\b"`,
		`a\\b`:          `"a\\b"`,
		`end\`:          `"end\\"`,
		`"`:             `"\""`,
		"a\r\nX-Own: b": `"a  X-Own: b"`,
		"caf\u00e9":     "\"caf\u00e9\"",
	} {
		if got := challenge(realm); got != "Basic realm="+want {
			t.Errorf("%q: %s; want %s", realm, got, "Basic realm="+want)
		}
	}
}

// dearUsers are users whose hashes take minutes, hours or days to check; of the first, the time
// that bcrypt takes is allowed.
const dearUsers = "most:$2y$16$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK\n" +
	"sha:$6$rounds=999999999$salt$x\nsha256:$5$rounds=999999999$salt$x\nbcrypt:$2b$17$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK\nbeyond:$6$rounds=99999999999999999999999$salt$x\nlast:$2a$31$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK\n"

// A hash that says that it needs more work than is allowed is not checked, neither for its
// user nor for those that the file has not.
func TestHashesThatNeedTooMuchWorkAreNotChecked(t *testing.T) {
	dir := t.TempDir()
	_, rest, _ := strings.Cut(dearUsers, "\n")
	if err := os.WriteFile(filepath.Join(dir, "dear"), []byte(rest), 0o644); err != nil {
		t.Fatal(err)
	}
	s := proxytest.New(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{Module()}, Text: "server { listen 80; auth_basic x; auth_basic_user_file dear; location / { } }"})
	for user, want := range map[string]string{
		"sha":    `user "sha": the password in "` + dir + `/dear" needs too much work, rounds=999999999: at most 12000000 rounds of $5$ and $6$, and a cost of 16 of bcrypt, are allowed`,
		"bcrypt": "needs too much work, a cost of 17: at most",
		"beyond": "needs too much work, rounds=99999999999999999999999: at most",
		"last":   "needs too much work, a cost of 31: at most",
		"nobody": `user "nobody" was not found`,
	} {
		s.Log.Reset()
		r := s.Get("/", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(user+":secret")))
		if r.Status != 401 || !strings.Contains(s.Log.String(), want) {
			t.Errorf("%s: %d with log %s; want 401 and %q", user, r.Status, s.Log, want)
		}
	}
	if e := newEntry("$6$rounds=12000000$salt$x"); e.scheme == nil || e.cost != mostWork {
		t.Errorf("12,000,000 rounds: %q, %s; want that they are checked, in %s", e.refusal, e.cost, mostWork)
	}
	if e := newEntry("$5$salt$rounds=999999999$x"); e.scheme == nil {
		t.Errorf("a hash with rounds in its salt is refused: it %s", e.refusal)
	}
}

func TestWhatLetsNobodyInIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": "a:{PLAIN}x\n", "old": "a:{PLAIN}x\nb:zBMA6WWaP1oV.\n# c:d\nd:$y$j9T$x$y\n", "dear": dearUsers} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		`auth_basic x; auth_basic_user_file good; location / { } location /a { auth_basic off; }`: "",
		`auth_basic x; auth_basic_user_file $host; location / { }`:                                "",
		`auth_basic x; auth_basic_user_file old; location / { } location /b { }`:                  `no password opens these entries of "old", line 2, 4: the password is hashed in a way that is not known here; `,
		`auth_basic x; auth_basic_user_file dear; location / { }`:                                 `line 2, 3: the password needs too much work, rounds=999999999: at most 12000000 rounds of $5$ and $6$, and a cost of 16 of bcrypt, are allowed; line 4: the password needs too much work, a cost of 17: at`,
		`auth_basic x; auth_basic_user_file none; location / { }`:                                 `cannot read "none": no such file or directory; until it can be read nobody gets in`,
		`auth_basic x; location / { } location /b { }`:                                            `auth_basic has no auth_basic_user_file in "location /"`,
		`auth_basic x; `: `auth_basic has no auth_basic_user_file in "server"`,
		`auth_basic x; location / { auth_basic_user_file good; limit_except GET { allow all; } }`: "",
		`auth_basic_user_file none; location / { }`:                                               "",
	} {
		text = strings.ReplaceAll(text, "limit_except GET { allow all; }", "limit_except GET { auth_basic off; }")
		warnings, err := proxytest.Check(t, proxytest.Config{Dir: dir, Modules: []proxy.Module{Module()}, Text: "server { listen 80; " + text + " }"})
		if err != nil || len(warnings) > 1 || (len(warnings) == 1) != (want != "") || want != "" && !strings.Contains(warnings[0].Msg, want) {
			t.Errorf("%s\n%+v, %v; want a warning with %q", text, warnings, err, want)
		}
	}
	_, err := proxytest.Check(t, proxytest.Config{Modules: []proxy.Module{Module()}, Text: `server { listen 80; auth_basic_user_file ""; }`})
	if err == nil || !strings.Contains(err.Error(), "auth_basic_user_file needs the name of a file") {
		t.Error(err)
	}
}

// FuzzEntry checks passwords against hashes of any form, unless that takes long.
func FuzzEntry(f *testing.F) {
	for _, hash := range []string{"{PLAIN}x", "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "{SSHA}5en6", "$apr1$ZoSgbp7.$OMXVP2ndix7jWj/U6IyJH/", "$1$", "$1$$", "$5$rounds=1000$abc$Mz4D", "$5$rounds=$a$b", "$5$rounds=-1$a$b",
		"$6$rounds=99999999999999999999$a$b", "$6$a", "$6$rounds=1000$", "$6$rounds=1000", "$2y$04$JECVlu5mYDn9I8eZDwPn.Onxr1xBBiJ/zkW2qYoBDw4c5BCu.MDPK", "$2a$", "$2y$04$", "$2b$99$x", "x", ""} {
		f.Add(hash, "secret")
		f.Add(hash, "")
	}
	f.Fuzz(func(t *testing.T, hash, password string) {
		tab := &table{users: map[string]*entry{}}
		tab.add("user:"+hash, 1)
		e := tab.users["user"]
		if e == nil || e.scheme == nil || e.cost > 10*time.Millisecond {
			return
		}
		passed := e.check(password)
		if e.proved(password) != (passed && e.cost > 0) {
			t.Errorf("the proof says %v", !passed)
		}
		if strings.HasPrefix(e.hash, "{PLAIN}") && passed != (e.hash == "{PLAIN}"+password && !strings.Contains(password, "\x00")) {
			t.Errorf("%q passes for %q: %v", password, e.hash, passed)
		}
	})
}
