package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the release build; a plain build says "devel".
var version = "devel"

type versionCmd struct{}

// Run prints the version, the Go version and the platform.
func (versionCmd) Run(e env) error {
	_, err := fmt.Fprintf(e.stdout, "invited %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionText returns the version with the revision it was built from.
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + "+" + s.Value[:12]
		}
	}
	return version
}
