package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"invited/server/backup"
	"invited/server/store/sqlite"
)

const databaseFile = "invited.db"

type backupCmd struct {
	File     string `arg:"" help:"Where to write the backup; must not be there yet."`
	Data     string `default:"${dataDir}" placeholder:"DIR" help:"Data directory of the server; it may be running."`
	Database string `placeholder:"URL" help:"sqlite:PATH, if the database is not in --data."`
	Sink     bool   `help:"Caught mail, too."`
}

// Run copies the database as it is at one moment, then what belongs to it, and
// reads the result back before it gets its name.
func (c backupCmd) Run(e env) error {
	db, isFile := strings.CutPrefix(c.Database, "sqlite:")
	switch {
	case c.Database == "":
		db = filepath.Join(c.Data, databaseFile)
	case !isFile:
		return &exitError{exitUsage, "--database must be sqlite:PATH here; PostgreSQL is backed up with pg_dump, and --data copied beside it"}
	}
	if _, err := os.Stat(db); errors.Is(err, fs.ErrNotExist) {
		return &exitError{exitNotFound, fmt.Sprintf("there is no database %s; name the data directory with --data", db)}
	}
	if _, err := os.Lstat(c.File); !errors.Is(err, fs.ErrNotExist) {
		return &exitError{exitUsage, fmt.Sprintf("%s is there already; choose another name", c.File)}
	}
	work, err := os.MkdirTemp(filepath.Dir(c.File), ".invited-backup-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	stage := filepath.Join(work, "stage")
	if err := c.stage(e.ctx, db, stage); err != nil {
		return err
	}
	packed := filepath.Join(work, "packed")
	if err := pack(packed, stage); err != nil {
		return err
	}
	list, held, err := unpack(e.ctx, packed, filepath.Join(work, "again"))
	if err != nil {
		return fmt.Errorf("the backup could not be read back: %w", err)
	}
	if err := os.Link(packed, c.File); err != nil { // unlike a rename, never over a file
		return err
	}
	if err := syncDir(filepath.Dir(c.File)); err != nil {
		return err
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "backed up and verified: %d invitations, %d users, %d files, %d bytes in %s\n", held.Invitations, held.Users, len(list.Files), info.Size(), c.File)
	return nil
}

// stage copies what a backup holds. The database comes first: keys that are
// made meanwhile are then more than it needs, never less.
func (c backupCmd) stage(ctx context.Context, db, stage string) error {
	if err := os.Mkdir(stage, 0o700); err != nil {
		return err
	}
	if err := sqlite.Snapshot(ctx, db, filepath.Join(stage, databaseFile)); err != nil {
		return err
	}
	index := filepath.Join("sink", "index.db")
	if _, err := os.Stat(filepath.Join(c.Data, index)); c.Sink && err == nil {
		if err := os.Mkdir(filepath.Join(stage, "sink"), 0o700); err != nil {
			return err
		}
		// Before the mail: what is missing in the index is indexed again.
		if err := sqlite.Snapshot(ctx, filepath.Join(c.Data, index), filepath.Join(stage, index)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(c.Data, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since it was listed
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(c.Data, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (name == "sink" && !c.Sink || strings.HasPrefix(d.Name(), ".invited-backup-")):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(stage, name), 0o700)
		case !d.Type().IsRegular() || passing(d.Name()):
			return nil
		}
		return copyFile(path, filepath.Join(stage, name))
	})
}

// passing reports whether a file is of the running process alone, or copied in
// another way.
func passing(name string) bool {
	if name == credentialFile {
		return true
	}
	for _, suffix := range []string{".db", ".db-wal", ".db-shm", "-lock", ".lock", ".new", ".invited-backup"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// copyFile copies as much of a file as there is now.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func pack(path, dir string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = backup.Pack(f, dir, versionText(), time.Now())
	return errors.Join(err, f.Sync(), f.Close())
}

// unpack reads an archive into a new folder and checks the database in it.
func unpack(ctx context.Context, path, dir string) (backup.List, sqlite.Contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return backup.List{}, sqlite.Contents{}, err
	}
	defer f.Close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return backup.List{}, sqlite.Contents{}, err
	}
	list, err := backup.Unpack(f, dir)
	if err != nil {
		return list, sqlite.Contents{}, err
	}
	held, err := sqlite.Check(ctx, filepath.Join(dir, databaseFile))
	return list, held, err
}

type restoreCmd struct {
	File string `arg:"" help:"A file that invited backup wrote."`
	Data string `default:"${dataDir}" placeholder:"DIR" help:"Where to; must be empty, or not be there yet."`
}

// Run unpacks beside the data directory and moves what it got there when all of
// it is in order.
func (c restoreCmd) Run(e env) error {
	if _, err := os.Stat(c.File); errors.Is(err, fs.ErrNotExist) {
		return &exitError{exitNotFound, "there is no file " + c.File}
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return &exitError{exitUsage, fmt.Sprintf("%s is not empty; stop the server and move the directory away first, or name another one with --data", c.Data)}
	}
	if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(data), ".invited-restore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	got := filepath.Join(work, "data")
	list, held, err := unpack(e.ctx, c.File, got)
	if err != nil {
		return &exitError{exitFailed, fmt.Sprintf("%s cannot be restored: %v", c.File, err)}
	}
	if err := os.Remove(data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(got, data); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(data)); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "restored into %s: %d invitations, %d users, as of %s\n", c.Data, held.Invitations, held.Users, list.Created.Format(time.RFC3339))
	if held.OpenMail > 0 {
		fmt.Fprintf(e.stdout, "%d mails were waiting then and will be sent when a server starts on it, even if they have been since\n", held.OpenMail)
	}
	return nil
}

// syncDir makes a new name in a folder durable, where that can be done.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // some systems cannot
	return d.Close()
}
