package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// found is the application that serve serves.
type found struct {
	app       string // as the wsgi and asgi directives take it
	kind      string // of its workers: "wsgi", "asgi"; "": not known yet
	directory string
	from      string // where it was found, for the start line
	demo      bool
}

// demoApp is the application that comes with the program.
const demoApp = "alicorn.demo:app"

// discover finds the application in dir: the one that is named, else FLASK_APP, the
// usual files, a Django project. It returns the demo only where the folder has no
// sign of Python at all.
func discover(dir, name string, getenv func(string) string) (found, error) {
	if name == "" {
		name = getenv("FLASK_APP")
	}
	if name != "" {
		return found{app: name, directory: dir, from: fromOf(name)}, nil
	}
	var tried []string
	for _, file := range []string{"wsgi.py", "app.py", "asgi.py", "main.py"} {
		if isRegular(filepath.Join(dir, file)) {
			return found{app: strings.TrimSuffix(file, ".py"), directory: dir, from: "./" + file}, nil
		}
		tried = append(tried, file)
	}
	matches, _ := filepath.Glob(filepath.Join(dir, "*", "wsgi.py"))
	if isRegular(filepath.Join(dir, "manage.py")) && len(matches) == 1 {
		pkg := filepath.Base(filepath.Dir(matches[0]))
		return found{app: pkg + ".wsgi:application", directory: dir, from: "./" + pkg + "/wsgi.py"}, nil
	}
	if len(matches) > 1 {
		return found{}, fmt.Errorf("there are several applications here (%s); name one: alicorn serve MODULE:NAME", strings.Join(relative(dir, matches), ", "))
	}
	tried = append(tried, "manage.py with */wsgi.py")
	if signs := pythonSigns(dir); len(signs) > 0 {
		return found{}, fmt.Errorf("no application was found in %s (there is %s): tried FLASK_APP (not set), %s; name it: alicorn serve MODULE:NAME",
			dir, strings.Join(signs, ", "), strings.Join(tried, ", "))
	}
	return found{app: demoApp, kind: "wsgi", directory: "/", from: "the demo", demo: true}, nil
}

// take takes what the flags say of the application: its kind, and whether it is a factory.
func (app *found) take(f *serveFlags) {
	if app.demo {
		return
	}
	app.kind = f.uvicorn.appKind
	if k := f.workerClass; app.kind == "" && k != "" {
		app.kind = "wsgi"
		if k == "asgi" {
			app.kind = "asgi"
		}
	}
	if f.uvicorn.factory && strings.Contains(app.app, ":") && !strings.HasSuffix(app.app, ")") {
		app.app += "()"
	}
}

// fromOf returns the file of an application that was named.
func fromOf(name string) string {
	file, _, _ := strings.Cut(name, ":")
	if strings.HasSuffix(file, ".py") || strings.HasSuffix(file, ".wsgi") || strings.Contains(file, "/") {
		return file
	}
	return "./" + strings.ReplaceAll(file, ".", "/") + ".py"
}

// pythonSigns returns the entries of dir that make it look like a Python project.
func pythonSigns(dir string) []string {
	var signs []string
	for _, pattern := range []string{"*.py", "pyproject.toml", "requirements.txt", "requirements", "Pipfile", "setup.cfg", "poetry.lock", "uv.lock", "*/wsgi.py"} {
		if m, _ := filepath.Glob(filepath.Join(dir, pattern)); len(m) > 0 {
			signs = append(signs, relative(dir, m[:1])...)
		}
	}
	return signs
}

func relative(dir string, paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		if out[i] = p; strings.HasPrefix(p, dir+"/") {
			out[i] = p[len(dir)+1:]
		}
	}
	return out
}

func isRegular(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
