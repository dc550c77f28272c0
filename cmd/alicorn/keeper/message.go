package keeper

import (
	"encoding/json"
	"errors"
	"time"

	"alicorn/appserver/pool"
	"alicorn/config"
)

// kind is what a message asks for or tells.
type kind string

// The front asks; the keeper answers with the same ID.
const (
	askRead    kind = "read"    // the configuration to load
	askListen  kind = "listen"  // a listening socket of the configuration
	askAppend  kind = "append"  // a log of the configuration
	askFile    kind = "file"    // the content of a file that the configuration names
	askLookUp  kind = "lookup"  // the addresses of a host that the configuration names
	askLaunch  kind = "launch"  // a worker of an app of the configuration
	askSignal  kind = "signal"  // for a worker that was launched
	askControl kind = "control" // the control API's socket; with OK only when the name of the last one is gone
	askUpgrade kind = "upgrade" // that another process takes over
	askSurvey  kind = "survey"  // whether the files of an app have changed
)

// Either side tells; there is no answer.
const (
	tellSettle   kind = "settle"   // front: the configuration read last serves (OK), or does not come up
	tellServing  kind = "serving"  // front: the first configuration serves
	tellStopping kind = "stopping" // front: it was told to stop; OK: at once
	tellReopened kind = "reopened" // front: it was told to reopen logs
	tellFailed   kind = "failed"   // front: why it does not come up
	tellAlive    kind = "alive"    // front: it works
	tellCameUp   kind = "cameup"   // front: the application of a worker that was launched has come up
	tellTrouble  kind = "trouble"  // front: what fails although it serves; no Body: nothing
	tellCommand  kind = "command"  // keeper: a signal came
	tellExit     kind = "exit"     // keeper: a worker ended
	tellUpgrade  kind = "upgraded" // keeper: why an upgrade has failed
	tellPriority kind = "priority" // keeper: why the front has not the priority that the configuration says; no Body: it has
	answer       kind = "answer"
)

// message is one message of the wire. Each kind uses a few of the fields.
type message struct {
	ID      uint64               `json:"id,omitempty"`
	Kind    kind                 `json:"kind"`
	Network string               `json:"network,omitempty"`
	Address string               `json:"address,omitempty"` // also a path
	Listen  config.ListenOptions `json:"listen,omitzero"`
	App     string               `json:"app,omitempty"`
	Reading uint64               `json:"reading,omitempty"` // number of the configuration that App is of
	Order   pool.Order           `json:"order,omitzero"`
	User    string               `json:"user,omitempty"` // of a worker
	PID     int                  `json:"pid,omitempty"`
	Number  int                  `json:"number,omitempty"` // a signal, a Command
	Code    int                  `json:"code,omitempty"`
	OK      bool                 `json:"ok,omitempty"`
	Failure *failure             `json:"failure,omitempty"`
	Body    []byte               `json:"body,omitempty"`
	Files   int                  `json:"files,omitempty"` // how many descriptors come with it
	lost    error                // why they did not come
}

// failure is an error in the form that crosses the wire.
type failure struct {
	Text     string          `json:"text,omitempty"`
	Mistakes []*config.Error `json:"mistakes,omitempty"`
}

func newFailure(err error) *failure {
	if err == nil {
		return nil
	}
	var many config.Errors
	if errors.As(err, &many) {
		return &failure{Mistakes: many}
	}
	return &failure{Text: err.Error()}
}

func (f *failure) err() error {
	switch {
	case f == nil:
		return nil
	case len(f.Mistakes) > 0:
		return config.Errors(f.Mistakes)
	}
	return errors.New(f.Text)
}

// text is a configuration as the keeper has read it: the content of every file.
type text struct {
	Reading  uint64            `json:"reading"` // its number, for questions about its apps
	Main     string            `json:"main"`
	Files    []string          `json:"files"`
	Contents map[string][]byte `json:"contents"`
	Program  json.RawMessage   `json:"program"`
	Again    Again             `json:"again,omitzero"`
}

// Again counts the fronts that have served and were replaced.
type Again struct {
	Times int       `json:"times"`
	At    time.Time `json:"at"`  // when the last one was replaced
	Why   string    `json:"why"` // how that one ended
}
