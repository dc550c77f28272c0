package http1_test

import "time"

// lastWait is how long a connection waits for its last request in these tests.
const lastWait = time.Second
