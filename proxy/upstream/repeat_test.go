package upstream

import (
	"testing"
	"time"
)

func TestWhatIsRepeated(t *testing.T) {
	servers := Repeat{On: OnError | OnTimeout, Begun: BegunIdempotent, Tries: 3, Timeout: time.Second}
	all, workers := servers, Repeat{On: OnError, Tries: 4}
	all.Begun = BegunAlways
	for _, c := range []struct {
		name string
		rule Repeat
		try  Outcome
		want bool
	}{
		{"an error", servers, Outcome{Failure: OnError, Method: "GET", Begun: true, Tries: 1}, true},
		{"a timeout", servers, Outcome{Failure: OnTimeout, Method: "GET", Begun: true, Tries: 1}, true},
		{"a failure that is not named", servers, Outcome{Failure: On503, Method: "GET", Begun: true, Tries: 1}, false},
		{"what is no failure", servers, Outcome{Method: "GET", Begun: true, Tries: 1}, false},
		{"off", Repeat{Begun: BegunIdempotent}, Outcome{Failure: OnError, Method: "GET", Tries: 1}, false},
		{"an idempotent method", servers, Outcome{Failure: OnError, Method: "PUT", Begun: true, Tries: 1}, true},
		{"POST", servers, Outcome{Failure: OnError, Method: "POST", Begun: true, Tries: 1}, false},
		{"LOCK", servers, Outcome{Failure: OnError, Method: "LOCK", Begun: true, Tries: 1}, false},
		{"PATCH", servers, Outcome{Failure: OnError, Method: "PATCH", Begun: true, Tries: 1}, false},
		{"POST that was not sent", servers, Outcome{Failure: OnError, Method: "POST", Tries: 1}, true},
		{"POST with non_idempotent", all, Outcome{Failure: OnError, Method: "POST", Begun: true, Tries: 1}, true},
		{"an answer that the client sees", all, Outcome{Failure: OnError, Method: "GET", Answered: true, Tries: 1}, false},
		{"a body that is gone", all, Outcome{Failure: OnError, Method: "PUT", Begun: true, Consumed: true, Tries: 1}, false},
		{"the last try", servers, Outcome{Failure: OnError, Method: "GET", Tries: 3}, false},
		{"the last moment", servers, Outcome{Failure: OnError, Method: "GET", Tries: 1, Took: time.Second - 1}, true},
		{"too late", servers, Outcome{Failure: OnError, Method: "GET", Tries: 1, Took: time.Second}, false},
		{"a stale connection", Repeat{Begun: BegunIdempotent, Tries: 1}, Outcome{Failure: OnError, Method: "GET", Begun: true, Stale: true, Tries: 1}, true},
		{"a stale connection, for a POST", servers, Outcome{Failure: OnError, Method: "POST", Begun: true, Stale: true, Tries: 1}, false},
		{"a stale connection that took some of the body", servers, Outcome{Failure: OnError, Method: "PUT", Begun: true, Consumed: true, Stale: true, Tries: 1}, false},
		{"a worker that had not begun", workers, Outcome{Failure: OnError, Method: "POST", Tries: 3}, true},
		{"the fourth worker in a row", workers, Outcome{Failure: OnError, Method: "GET", Tries: 4}, false},
		{"a worker that had begun", workers, Outcome{Failure: OnError, Method: "GET", Begun: true, Tries: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.rule.Allows(&c.try); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
