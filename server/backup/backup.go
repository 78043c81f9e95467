// Package backup packs a folder into one file and gets it back, unchanged or
// not at all.
//
// The file is a compressed tar archive that begins with a list of what it
// holds. It knows nothing of what the files mean, and refuses archives whose
// names would leave the folder, that lack a file, or in which a byte differs.
//
//	Pack:    folder ──▶ invited-backup.json · file · file …  ──gzip──▶ archive
//	Unpack:  archive ──▶ names, sizes and SHA-256 compared with the list ──▶ folder
package backup

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// listName is the first entry of an archive.
const listName = "invited-backup.json"

// Limits of an archive that is read.
const (
	maxList  = 16 << 20 // bytes
	maxFiles = 100_000
)

// ErrDamaged is in the chain of every error about an archive that is not whole,
// or none of ours.
var ErrDamaged = errors.New("the archive is damaged, or not a backup")

// List is what an archive says of itself.
type List struct {
	Format  int       `json:"format"` // 1
	Version string    `json:"version"`
	Created time.Time `json:"created"`
	Files   []File    `json:"files"`
}

// File is one file of an archive.
type File struct {
	Name   string `json:"name"` // slashes between, relative
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Pack writes every file below dir to w. What is not a plain file is refused.
func Pack(w io.Writer, dir, version string, at time.Time) (List, error) {
	list := List{Format: 1, Version: version, Created: at.UTC()}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("backup: %s is not a plain file", path)
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f := File{Name: filepath.ToSlash(name)}
		f.Size, f.SHA256, err = sum(path)
		list.Files = append(list.Files, f)
		return err
	})
	if err != nil {
		return list, err
	}
	zip := gzip.NewWriter(w)
	archive := tar.NewWriter(zip)
	head, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return list, err
	}
	if err := archive.WriteHeader(header(listName, int64(len(head)), at)); err != nil {
		return list, err
	}
	if _, err := archive.Write(head); err != nil {
		return list, err
	}
	for _, f := range list.Files {
		if err := packFile(archive, dir, f, at); err != nil {
			return list, err
		}
	}
	return list, errors.Join(archive.Close(), zip.Close())
}

func header(name string, size int64, at time.Time) *tar.Header {
	return &tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at.UTC().Truncate(time.Second), Typeflag: tar.TypeReg}
}

func packFile(archive *tar.Writer, dir string, f File, at time.Time) error {
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.Name)))
	if err != nil {
		return err
	}
	defer in.Close()
	if err := archive.WriteHeader(header(f.Name, f.Size, at)); err != nil {
		return err
	}
	_, err = io.Copy(archive, in)
	return err
}

// sum returns size and hash of a file.
func sum(path string) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// Unpack writes the files of an archive below dir, which exists and is empty,
// with mode 0600, each synced. After an error dir holds nothing of use. The
// error has [ErrDamaged] in its chain if the archive is at fault.
func Unpack(r io.Reader, dir string) (List, error) {
	var list List
	zip, err := gzip.NewReader(r)
	if err != nil {
		return list, damaged(err)
	}
	archive := tar.NewReader(zip)
	first, err := archive.Next()
	if err != nil {
		return list, damaged(err)
	}
	if first.Name != listName || first.Size > maxList {
		return list, damaged(errors.New("it does not begin with a list"))
	}
	if err := json.NewDecoder(io.LimitReader(archive, maxList)).Decode(&list); err != nil {
		return list, damaged(err)
	}
	if list.Format != 1 {
		return list, damaged(fmt.Errorf("its format %d is unknown; use the program that wrote it, version %q", list.Format, list.Version))
	}
	if len(list.Files) > maxFiles {
		return list, damaged(errors.New("it lists too many files"))
	}
	for _, f := range list.Files {
		h, err := archive.Next()
		if err != nil {
			return list, damaged(err)
		}
		if h.Name != f.Name || h.Size != f.Size || h.Typeflag != tar.TypeReg || f.Name == "." || !fs.ValidPath(f.Name) || !filepath.IsLocal(filepath.FromSlash(f.Name)) {
			return list, damaged(fmt.Errorf("it holds %q where it lists %q", h.Name, f.Name))
		}
		if err := unpackFile(archive, dir, f); err != nil {
			return list, err
		}
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		return list, damaged(errors.New("it holds more than it lists"))
	}
	if _, err := io.Copy(io.Discard, zip); err != nil { // to its checksum
		return list, damaged(err)
	}
	return list, zip.Close()
}

func unpackFile(archive io.Reader, dir string, f File) error {
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(out, io.TeeReader(archive, h))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gzip.ErrChecksum), errors.Is(err, tar.ErrHeader):
		err = damaged(err)
	case err == nil && hex.EncodeToString(h.Sum(nil)) != f.SHA256:
		err = damaged(fmt.Errorf("%s is not as it was", f.Name))
	}
	return errors.Join(err, out.Sync(), out.Close())
}

func damaged(err error) error { return fmt.Errorf("backup: %w: %w", ErrDamaged, err) }
