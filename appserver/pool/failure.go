package pool

import "fmt"

// BootError says why an application did not come up.
type BootError struct {
	App       string
	Worker    string
	Message   string // one sentence
	Traceback string // Python's, "" when there is none
}

// Error returns the sentence with the app's name, and the traceback above it.
func (e *BootError) Error() string {
	msg := fmt.Sprintf("app %q did not come up: %s", e.App, e.Message)
	if e.Traceback != "" {
		return e.Traceback + "\n" + msg
	}
	return msg
}
