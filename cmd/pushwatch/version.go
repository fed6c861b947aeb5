package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker in a release: -ldflags "-X main.version=1.2.3".
var version = ""

// build returns the binary's version and the commit it was built from.
func build() (release, commit string) {
	release, commit = version, "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
		release = cmp.Or(release, strings.Trim(info.Main.Version, "()"))
	}
	return cmp.Or(release, "devel"), commit
}

// versionText returns what version and --version print.
func versionText() string {
	release, commit := build()
	return fmt.Sprintf("pushwatch %s (commit %s, %s %s/%s)", release, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, the commit and the Go version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}
