//go:build unix

package tokens

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkMode refuses every mode but one.
func checkMode(path string, info fs.FileInfo, want fs.FileMode) error {
	if got := info.Mode().Perm(); got != want {
		return fmt.Errorf("tokens: %s has mode %04o, secret keys need %04o: run chmod %o %s", path, got, want, want, path)
	}
	return nil
}

// lockDir keeps other processes from changing the ring until unlock.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("tokens: lock keys: %w", err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		d.Close()
		return nil, fmt.Errorf("tokens: lock keys: %w", err)
	}
	return func() { d.Close() }, nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
