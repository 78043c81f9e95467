package sink

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"invited/mail/sink/rules"
)

// Limits of [Forced].
const (
	maxForced     = 1000 // rules
	maxForcedText = 500  // bytes of one pattern or reason
)

// Forced is a list of rules that file mail in a folder whatever it looks like.
// It lasts in a file. It is safe for concurrent use.
type Forced struct {
	path string

	mu   sync.Mutex
	list []rules.Force // not changed once it is here
}

// OpenForced reads the list in the directory dir, in which nothing is the empty
// list. An empty dir keeps it in memory only.
func OpenForced(dir string) (*Forced, error) {
	if dir == "" {
		return &Forced{}, nil
	}
	f := &Forced{path: filepath.Join(dir, "rules.json")}
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	if err := json.Unmarshal(data, &f.list); err != nil {
		return nil, fmt.Errorf("sink: %s: %w", f.path, err)
	}
	return f, nil
}

// Rules returns the rules in force, in their order.
func (f *Forced) Rules() []rules.Force {
	return append([]rules.Force{}, f.now()...)
}

func (f *Forced) now() []rules.Force {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list
}

// Replace exchanges the rules, for mail that is judged from now on. An error
// names the rule at fault, and nothing changes then.
func (f *Forced) Replace(list []rules.Force) error {
	if len(list) > maxForced {
		return fmt.Errorf("sink: %d rules are more than %d", len(list), maxForced)
	}
	list = append([]rules.Force{}, list...)
	for i := range list {
		if err := checkForce(&list[i]); err != nil {
			return fmt.Errorf("sink: rule %d: %w", i+1, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.save(list); err != nil {
		return &StorageError{err}
	}
	f.list = list
	return nil
}

// StorageError is a failure to keep something on disk.
type StorageError struct{ Err error }

func (e *StorageError) Error() string { return "sink: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// checkForce names the field at fault, and spells the folder as it is stored.
func checkForce(r *rules.Force) error {
	switch {
	case strings.EqualFold(r.Folder, rules.Inbox):
		r.Folder = rules.Inbox
	case strings.EqualFold(r.Folder, rules.Junk):
		r.Folder = rules.Junk
	default:
		return fmt.Errorf("folder %.40q is neither Inbox nor Junk", r.Folder)
	}
	for _, v := range []struct{ name, value string }{{"to", r.To}, {"from", r.From}, {"reason", r.Reason}} {
		if len(v.value) > maxForcedText {
			return fmt.Errorf("%s is longer than %d bytes", v.name, maxForcedText)
		}
		if strings.ContainsFunc(v.value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return fmt.Errorf("%s holds control characters", v.name)
		}
	}
	return nil
}

// save writes the list, whole or not at all.
func (f *Forced) save(list []rules.Force) error {
	if f.path == "" {
		return nil
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(f.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}

// Judge is an Options.Judge that asks the built-in rules, with these.
func (f *Forced) Judge(e Envelope, recipient string, raw []byte) rules.Verdict {
	return Judge{Forced: f}.Rules(e, recipient, raw)
}
