package main

import (
	"context"
	"fmt"
	"net/http"
)

// tasks returns the largest number of tasks in an event loop. It asks /tasks of
// apps/asgichaos.py several times, so that several workers answer.
func (s *server) tasks(ctx context.Context) (most int, err error) {
	for range 8 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("/tasks"), nil)
		if err != nil {
			return 0, err
		}
		status, body, err := oneAnswer(request)
		if err != nil {
			return 0, err
		}
		var n int
		if _, err := fmt.Sscanf(string(body), "tasks %d", &n); err != nil || status != http.StatusOK {
			return 0, fmt.Errorf("cannot read the number of tasks: status %d with %.60q", status, body)
		}
		most = max(most, n)
	}
	return most, nil
}
