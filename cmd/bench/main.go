// Command bench runs alicorn beside the servers that it replaces, with the same
// applications, files and backends, and reports what each costs.
//
//	go run ./cmd/bench          requests/s, CPU, latency and memory, of files, TLS, applications, proxies and gateways
//	go run ./cmd/bench shield   how long slow clients occupy a worker
//	go run ./cmd/bench stall    how much one slow request delays the others
//	go run ./cmd/bench chaos    which requests fail while a server is disturbed, and what it still holds after
//	go run ./cmd/bench fair     how long each client waits while all workers are busy
//	go run ./cmd/bench idle     how much memory and time idle connections cost the front
//	go run ./cmd/bench sockets  how many messages of 1,000 WebSockets are lost
//	go run ./cmd/bench leak     how much more the server holds after a million requests
//	go run ./cmd/bench hostile  how much attacks delay other clients
//	go run ./cmd/bench readers  what memory and connections to a backend 1,000 clients cost that do not read their answers
//	go run ./cmd/bench slow     after how long clients that send a byte a second are cut
//	go run ./cmd/bench profile  where the front spends its time, as cmd/alicorn/default.pgo, which the compiler optimizes by
//
// Every server runs in the foreground, on loopback, from a configuration in one
// temporary directory. bench stops it by its pid and waits for its end. In each round
// the servers take turns, so that noise of the machine hits all of them. Before bench
// measures, it compares an answer of each server with the right one.
//
// bench reads /proc, so it needs Linux.
package main

// Files, in the order of the story:
//
//   - main.go cases.go peers.go compare.go report.go regression.go profile.go: servers side by side
//   - site.go server.go process.go proc.go machine.go alicorn.go nginx.go unit.go uvicorn.go identity.go: the servers
//   - backend.go backendgroup.go backendkind.go origin.go: the backends of proxied requests
//   - client.go wrk.go handshakes.go lighttls.go websocket.go echoes.go echoring.go sockets.go latency.go progress.go: the load
//   - chaos.go disturbance.go storm.go forty.go upgrade.go descriptors.go outage.go mixture.go tasks.go churn.go remains.go holdings.go: faults
//   - hostile.go hostilepair.go attack.go attack_client.go attack_application.go assistant.go steady.go standstill.go standstill_linux.go standstill_other.go: attacks
//   - fair.go stall.go slow.go shield.go idle.go idlekind.go idlereport.go waiters.go readers.go leak.go: waiting, slow clients, memory

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// errBroken is returned when a measurement worked and its rule is broken.
var errBroken = errors.New("the rule is broken")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the mode that the first argument names; without one, the comparison.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return runCompare(ctx, args)
	}
	modes := map[string]func(context.Context, []string) error{
		"shield": runShield, "stall": runStall, "chaos": runChaos, "idle": runIdle, "leak": runLeak, "slow": runSlow,
		"hostile": runHostile, "fair": runFair, "readers": runReaders, "attack": runAttack, "sockets": runSockets,
		"profile": runProfile, "watch": runWatch,
	}
	mode := modes[args[0]]
	if mode == nil {
		return fmt.Errorf("unknown mode %q; there are %s", args[0], strings.Join(slices.Sorted(maps.Keys(modes)), ", "))
	}
	return mode(ctx, args[1:])
}

// parseFlags parses args, which must be flags alone.
func parseFlags(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return nil
}

// fields splits a list separated by commas, without empty items.
func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
