//go:build !unix

package tokens

import "io/fs"

// checkMode accepts everything: access lists protect files here, not modes.
func checkMode(string, fs.FileInfo, fs.FileMode) error { return nil }

// lockDir locks nothing: two processes must not rotate at the same moment.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }

// syncDir does nothing: directories cannot be synced here.
func syncDir(string) error { return nil }
