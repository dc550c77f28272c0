package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"alicorn/config"
)

// reexecEnv makes the test binary behave as alicorn itself; with the value
// reexecAsInit as a container's first process.
const (
	reexecEnv    = "ALICORN_TEST_REEXEC"
	reexecAsInit = "init"
)

// raceEnv sets the race detector of processes that a test starts. Each would sleep for
// a second at its end, for reports of races that are about to happen.
const raceEnv, raceOptions = "GORACE", "atexit_sleep_ms=10"

func TestMain(m *testing.M) {
	if os.Getenv(raceEnv) == "" {
		os.Setenv(raceEnv, raceOptions)
	}
	switch os.Getenv(reexecEnv) {
	case "":
		os.Exit(m.Run())
	case reexecAsInit:
		if os.Getenv(initEnv) == "" {
			if err := becomeSubreaper(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(exitFailed)
			}
			os.Exit(exitCode(superviseAsInit()))
		}
	}
	os.Exit(run(context.Background(), os.Args[1:]))
}

func testSchema() *config.Schema { return manualSchema() }
