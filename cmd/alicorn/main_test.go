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

func TestMain(m *testing.M) {
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
