package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// maxPage bounds every page, whatever limit the caller names.
const maxPage = 999

// last sorts after every key we store: ids, addresses and names.
const last = "\U0010FFFF"

// pageSize brings a limit into 1 to maxPage.
func pageSize(limit int) int32 {
	if limit < 1 || limit > maxPage {
		return maxPage
	}
	return int32(limit)
}

// micros is how times are stored: 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment is the reverse of micros. The result is UTC.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// flag is how truth is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// key is the form in which names are compared.
func key(name string) string { return strings.ToLower(name) }

// prefix returns the half-open range of keys that begin with p. An empty p is
// every key.
func prefix(p string) (from, to string) {
	p = key(p)
	return p, p + last
}

// list is how a list of strings is stored; an empty one is the empty text.
func list[T ~string](l []T) string {
	if len(l) == 0 {
		return ""
	}
	b, _ := json.Marshal(l) // strings always marshal
	return string(b)
}

// parse reads what list, or json.Marshal, wrote into v.
func parse(column, text string, v any) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("sqlstore: column %s holds no valid JSON: %w", column, err)
	}
	return nil
}
