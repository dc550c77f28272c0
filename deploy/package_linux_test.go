package deploy_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The package that deb.sh builds by itself is whole: a program that needs no
// library, sums that are right, and a description of both.
func TestThePackageIsBuiltFromThisTree(t *testing.T) {
	t.Parallel()
	deb := buildPackage(t)
	tree := filepath.Join(t.TempDir(), "tree")
	if out, err := exec.Command("dpkg-deb", "--raw-extract", deb, tree).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, out)
	}
	program := filepath.Join(tree, "usr/bin/alicorn")
	needsNoLibrary(t, program)
	isNamedInREADME(t, filepath.Base(deb))
	version, err := exec.Command(program, "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	control, err := os.ReadFile(filepath.Join(tree, "DEBIAN/control"))
	if err != nil {
		t.Fatal(err)
	}
	_, number, _ := strings.Cut(strings.TrimSpace(string(version)), "alicorn/")
	if strings.Contains(string(control), "@") != strings.Contains(string(control), "@localhost") || !strings.Contains(string(control), "\nVersion: "+number+"\n") {
		t.Errorf("the program's version is %q, the package says\n%s", number, control)
	}
	sums := exec.Command("md5sum", "--check", "--quiet", "--strict", "DEBIAN/md5sums")
	sums.Dir = tree
	if out, err := sums.CombinedOutput(); err != nil {
		t.Errorf("the sums: %v: %s", err, out)
	}
	conffiles, _ := os.ReadFile(filepath.Join(tree, "DEBIAN/conffiles"))
	found, err := exec.Command("sh", "-c", "cd "+tree+" && find etc -type f -printf '/%p\\n' | sort").Output()
	if err != nil || string(found) != string(conffiles) {
		t.Errorf("files in /etc are\n%s%v, conffiles\n%s", found, err, conffiles)
	}
}

// isNamedInREADME checks that the README's commands name the package as it is
// called on amd64, which they are written for.
func isNamedInREADME(t *testing.T, name string) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if name = strings.Replace(name, "_arm64", "_amd64", 1); strings.Count(string(readme), "./"+name) < 2 {
		t.Errorf("the README does not name the package %s", name)
	}
}

// needsNoLibrary checks that a program runs on any distribution, Alpine with
// its other libc among them.
func needsNoLibrary(t *testing.T, program string) {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the program needs %v, %v; want nothing", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs an interpreter, which another libc does not have")
		}
	}
}
