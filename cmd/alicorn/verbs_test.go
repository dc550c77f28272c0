package main

import "testing"

func TestAWordThatIsNoVerbNamesWhatIsMeant(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ word, want string }{
		{"chek", `there is no verb "chek"; did you mean "check"?`},
		{"restart", `there is no verb "restart"; did you mean "reload"?`},
		{"app:app", `there is no verb "app:app"; did you mean "serve app:app"?`},
		{"wsgi.py", `there is no verb "wsgi.py"; did you mean "serve wsgi.py"?`},
		{"alicorn.conf", `there is no verb "alicorn.conf"; did you mean "run -c alicorn.conf"?`},
		{"unicorns", `there is no verb "unicorns"; "alicorn help" lists the verbs`},
	} {
		root := rootCommand()
		root.SetArgs([]string{tc.word})
		err := root.Execute()
		if err == nil || err.Error() != tc.want {
			t.Errorf("%q: %v, want %s", tc.word, err, tc.want)
		}
	}
}
