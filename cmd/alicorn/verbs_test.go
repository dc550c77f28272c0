package main

import "testing"

func TestAWordThatIsNoVerbNamesWhatIsMeant(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ word, want string }{
		{"chek", `unknown verb "chek"; did you mean "check"?`},
		{"restart", `unknown verb "restart"; did you mean "reload"?`},
		{"app:app", `unknown verb "app:app"; did you mean "serve app:app"?`},
		{"wsgi.py", `unknown verb "wsgi.py"; did you mean "serve wsgi.py"?`},
		{"alicorn.conf", `unknown verb "alicorn.conf"; did you mean "run -c alicorn.conf"?`},
		{"unicorns", `unknown verb "unicorns"; "alicorn help" lists the verbs`},
	} {
		root := rootCommand()
		root.SetArgs([]string{tc.word})
		err := root.Execute()
		if err == nil || err.Error() != tc.want {
			t.Errorf("%q: %v, want %s", tc.word, err, tc.want)
		}
	}
}
