//go:build !linux

package spool

import "os"

type dataFile struct{ *os.File }
