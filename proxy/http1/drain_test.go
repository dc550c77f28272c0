package http1_test

import "time"

// patience bounds a wait for what is certain to come, on a slow machine too. Only
// a defect takes so long.
const patience = 30 * time.Second

// lastWait is how long a connection waits for its last request in these tests.
const lastWait = time.Second
