package pool

import "fmt"

// BootError is the reason why an application did not come up.
type BootError struct {
	App       string
	Worker    string
	Message   string // one sentence
	Traceback string // of Python; "" if there is none
}

// Error returns the traceback, and below it the sentence with the app's name.
func (e *BootError) Error() string {
	msg := fmt.Sprintf("app %q did not come up: %s", e.App, e.Message)
	if e.Traceback != "" {
		return e.Traceback + "\n" + msg
	}
	return msg
}
