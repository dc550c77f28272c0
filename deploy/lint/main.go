// Command lint holds Dockerfiles against the checks of "docker build --check",
// with BuildKit's own parser and rules and without an engine: lint FILE... It
// prints what it finds and ends with 1 if that is anything.
//
// It is a module of its own, so that the program does not depend on BuildKit.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

func main() {
	clean := true
	for _, name := range os.Args[1:] {
		findings, err := lint(os.Stdout, name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		clean = clean && err == nil && findings == 0
	}
	if !clean || len(os.Args) == 1 {
		os.Exit(1)
	}
}

// lint prints what is wrong with the file and says how much that is.
func lint(w io.Writer, name string) (findings int, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("cannot read the Dockerfile: %w", err)
	}
	source := llb.NewSourceMap(nil, name, "Dockerfile", text)
	source.Definition = &llb.Definition{} // the file is at hand, nothing fetches it
	results, err := dockerfile2llb.DockerfileLint(context.Background(), text, dockerfile2llb.ConvertOpt{SourceMap: source, MetaResolver: bareImages{}})
	if err != nil {
		return 0, fmt.Errorf("cannot check %s: %w", name, err)
	}
	if results.Error != nil {
		fmt.Fprintf(w, "%s: %s\n", name, results.Error.Message)
		findings++
	}
	for _, found := range results.Warnings {
		if err := found.PrintTo(w, results.Sources, func(*pb.SourceInfo) *pb.SourceInfo { return results.Sources[found.Location.SourceIndex] }); err != nil {
			return findings, fmt.Errorf("cannot print what is wrong with %s: %w", name, err)
		}
		findings++
	}
	return findings, nil
}

// bareImages stands for the registries: every image is there and sets nothing.
type bareImages struct{}

// ResolveImageConfig implements llb.ImageMetaResolver.
func (bareImages) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"os":"linux","architecture":"amd64","config":{}}`), nil
}
