package http1_test

import "time"

// patience bounds waits for events that are certain to come. Even on a slow machine only a
// defect takes so long.
const patience = 30 * time.Second

// lastWait is how long an idle connection waits for its last request in these tests.
const lastWait = time.Second
