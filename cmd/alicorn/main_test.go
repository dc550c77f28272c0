package main

import (
	"context"
	"os"
	"testing"

	"alicorn/config"
)

// reexecEnv makes the test binary behave as alicorn itself.
const reexecEnv = "ALICORN_TEST_REEXEC"

func TestMain(m *testing.M) {
	if os.Getenv(reexecEnv) != "" {
		os.Exit(run(context.Background(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

func testSchema() *config.Schema { return manualSchema() }
