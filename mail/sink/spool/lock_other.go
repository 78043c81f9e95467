//go:build !unix

package spool

import "os"

// lockDir cannot lock here; the file only shows that the directory is in use.
func lockDir(root *os.Root) (*os.File, error) {
	return root.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600)
}

// syncDir has no counterpart here: names last with the file system's journal.
func syncDir(*os.Root) error { return nil }
