package appserver

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"alicorn/config"
)

// Files that this process reads meanwhile, as the surveys of other applications
// of the same folder do, are the application's all the same. Those that it
// writes are the server's.
func TestASurveySeesWhatTheServerReads(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"app.py", "log"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	app := newApp("web", config.Pos{})
	app.Directory = dir
	alone := app.Survey(Survey{})
	for _, path := range []string{dir, filepath.Join(dir, "app.py")} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if got := app.Survey(Survey{}); !bytes.Equal(got.Tree, alone.Tree) {
		t.Errorf("the tree is %x, want %x", got.Tree, alone.Tree)
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if got := app.Survey(Survey{}); len(got.Tree) >= len(alone.Tree) {
		t.Errorf("got a tree of %d bytes, want less than the %d without the log", len(got.Tree), len(alone.Tree))
	}
}
