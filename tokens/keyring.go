package tokens

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// State is where a key is in its life.
//
//	next ──Rotate──▶ active ──Rotate──▶ retired ──after the longest life──▶ gone
//	published        signs, verifies    verifies
type State string

// The states. A ring has one active key, at most one next, any number retired.
const (
	Next    State = "next"
	Active  State = "active"
	Retired State = "retired"
)

// KeyringOptions configures [OpenKeyring].
type KeyringOptions struct {
	Alg Alg // of the keys that are made; empty means EdDSA

	// Passphrase seals the ring on disk. A ring found unsealed is sealed at
	// once. Empty: the keys are protected by the file mode alone.
	Passphrase string

	// Longest is the longest life of anything signed. A retired key is kept
	// for so long, and a day for other processes to notice the rotation; a
	// token that would live longer is not signed. 0: tokens may live for
	// ever, so retired keys are kept for good.
	Longest time.Duration

	// Background makes OpenKeyring return before a new ring has its keys.
	// What needs a key waits. For RS256, whose keys take seconds to make.
	Background bool

	Now func() time.Time // nil means time.Now
}

// notice is how long another process may go on signing with a key that was
// retired under it.
const notice = 24 * time.Hour

// Keyring holds the keys that sign and verify. It is safe for concurrent use,
// and rotating it never refuses a token that is alive: signing and verifying
// work on snapshots.
type Keyring struct {
	opts KeyringOptions
	file *ringFile // nil: in memory only

	change sync.Mutex // held while the ring is being changed
	keys   atomic.Pointer[ring]

	ready chan struct{} // closed when the first keys exist, or cannot be made
	err   error         // why they cannot; read after ready
}

// KeyInfo is a key as operators see it.
type KeyInfo struct {
	ID      string
	Alg     Alg
	State   State
	Created time.Time
	Retires time.Time // when a retired key may be dropped; zero: not retired, or kept for good
}

// ring is a snapshot of the keys.
type ring struct {
	keys   []*key // next, active, then retired, newest first
	byID   map[string]*key
	active *key // nil only before the first key was made
}

func newRing(keys []*key) *ring {
	r := &ring{keys: keys, byID: make(map[string]*key, len(keys))}
	for _, k := range keys {
		r.byID[k.id] = k
		if k.state == Active {
			r.active = k
		}
	}
	return r
}

// of returns the key in a state, or nil.
func (r *ring) of(s State) *key {
	for _, k := range r.keys {
		if k.state == s {
			return k
		}
	}
	return nil
}

// NewKeyring returns a ring in memory with a next and an active key. It is lost
// with the process. For RS256 it takes seconds.
func NewKeyring(alg Alg, now time.Time) (*Keyring, error) {
	return OpenKeyring("", KeyringOptions{Alg: alg, Now: func() time.Time { return now }})
}

// OpenKeyring returns the ring kept in dir, and makes dir and ring if there are
// none. The directory has mode 0700 and the file 0600; any other mode is
// refused with an error that names the path and the remedy. An empty dir keeps
// the ring in memory.
func OpenKeyring(dir string, o KeyringOptions) (*Keyring, error) {
	if o.Alg == "" {
		o.Alg = EdDSA
	}
	if _, ok := methods[o.Alg]; !ok {
		return nil, fmt.Errorf("tokens: KeyringOptions.Alg %q is not one of EdDSA, ES256, RS256", o.Alg)
	}
	if o.Longest < 0 {
		return nil, errors.New("tokens: KeyringOptions.Longest is negative")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Keyring{opts: o, ready: make(chan struct{})}
	k.keys.Store(newRing(nil))
	if dir != "" {
		found, err := k.openFile(dir)
		if err != nil {
			return nil, err
		}
		if found {
			return k, nil
		}
	}
	if o.Background {
		go k.create()
		return k, nil
	}
	if k.create(); k.err != nil {
		return nil, k.err
	}
	return k, nil
}

// openFile opens the ring kept in dir and reports whether there is one.
func (k *Keyring) openFile(dir string) (found bool, err error) {
	if k.file, err = openRingFile(dir, k.opts.Passphrase); err != nil {
		return false, err
	}
	keys, sealed, err := k.file.load()
	if keys == nil || err != nil {
		return false, err
	}
	if !sealed && k.opts.Passphrase != "" {
		same := func(keys []*key) ([]*key, error) { return keys, nil }
		if keys, err = k.file.update(same); err != nil {
			return false, err
		}
	}
	k.keys.Store(newRing(keys))
	close(k.ready)
	return true, nil
}

// create makes the first keys and, if there is a file, keeps them before anybody
// can sign with them.
func (k *Keyring) create() {
	k.change.Lock()
	defer k.change.Unlock()
	defer close(k.ready)
	now := k.opts.Now()
	active, err := generate(k.opts.Alg, Active, now)
	if err != nil {
		k.err = err
		return
	}
	next, err := generate(k.opts.Alg, Next, now)
	if err != nil {
		k.err = err
		return
	}
	keys := []*key{next, active}
	if k.file != nil {
		// If another process was quicker, its ring is the ring.
		if keys, err = k.file.create(keys); err != nil {
			k.err = err
			return
		}
	}
	k.keys.Store(newRing(keys))
}

// Wait waits until the ring has its keys and returns why it has none. Only a
// ring opened in the background makes it wait.
func (k *Keyring) Wait() error {
	<-k.ready
	return k.err
}

// signer returns the active key.
func (k *Keyring) signer() (*key, error) {
	if err := k.Wait(); err != nil {
		return nil, err
	}
	return k.keys.Load().active, nil
}

// verifier returns the key with this id, or nil.
func (k *Keyring) verifier(id string) *key { return k.keys.Load().byID[id] }

// outlives returns an error if a token that expires then (zero: never) would
// outlive the key that signs it now.
func (k *Keyring) outlives(now, expires time.Time) error {
	longest := k.opts.Longest
	if longest == 0 || !expires.IsZero() && !expires.After(now.Add(longest)) {
		return nil
	}
	return fmt.Errorf("tokens: the token would outlive its key: KeyringOptions.Longest is %s", longest)
}

// Rotate makes the next key active, retires the active one, makes a new next
// one, and drops retired keys whose time has come. If the algorithm of the
// options has changed, the ring switches to it at once.
func (k *Keyring) Rotate(now time.Time) error {
	if err := k.Wait(); err != nil {
		return err
	}
	k.change.Lock()
	defer k.change.Unlock()
	rotated := func(keys []*key) ([]*key, error) { return k.rotated(newRing(keys), now) }
	var keys []*key
	var err error
	if k.file != nil {
		keys, err = k.file.update(rotated)
	} else {
		keys, err = rotated(k.keys.Load().keys)
	}
	if err != nil {
		return err
	}
	k.keys.Store(newRing(keys))
	return nil
}

// rotated returns the keys of r one step further.
func (k *Keyring) rotated(r *ring, now time.Time) ([]*key, error) {
	active := r.of(Next)
	if active == nil || active.alg != k.opts.Alg {
		var err error
		if active, err = generate(k.opts.Alg, Active, now); err != nil {
			return nil, err
		}
	}
	next, err := generate(k.opts.Alg, Next, now)
	if err != nil {
		return nil, err
	}
	var retires time.Time
	if k.opts.Longest > 0 {
		retires = now.Add(k.opts.Longest + notice).UTC().Truncate(time.Second)
	}
	keys := []*key{next, active.in(Active, time.Time{}), r.active.in(Retired, retires)}
	for _, old := range r.keys {
		if old.state == Retired && (old.retires.IsZero() || now.Before(old.retires)) {
			keys = append(keys, old)
		}
	}
	return keys, nil
}

// Reload reads the ring again, for another process has rotated it. If it cannot
// be read, the keys in memory stay. A ring in memory does nothing.
func (k *Keyring) Reload() error {
	if k.file == nil {
		return nil
	}
	if err := k.Wait(); err != nil {
		return err
	}
	k.change.Lock()
	defer k.change.Unlock()
	keys, _, err := k.file.load()
	if err != nil {
		return err
	}
	if keys == nil {
		return fmt.Errorf("tokens: %s is gone; the keys in memory stay in use", k.file.path)
	}
	k.keys.Store(newRing(keys))
	return nil
}

// List returns the keys: next, active, then retired ones, newest first.
func (k *Keyring) List() []KeyInfo {
	var list []KeyInfo
	for _, key := range k.keys.Load().keys {
		list = append(list, KeyInfo{ID: key.id, Alg: key.alg, State: key.state, Created: key.created, Retires: key.retires})
	}
	return list
}

// JWKS returns the public keys of every state as a JSON Web Key Set (RFC 7517
// section 5). It waits if the ring is still making its first keys.
func (k *Keyring) JWKS() ([]byte, error) {
	if err := k.Wait(); err != nil {
		return nil, err
	}
	set := struct {
		Keys []jwkJSON `json:"keys"`
	}{Keys: []jwkJSON{}}
	for _, key := range k.keys.Load().keys {
		j, err := key.jwk()
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, j)
	}
	return json.Marshal(set)
}

// inOrder checks that keys make a ring and puts them in the order of List.
func inOrder(keys []*key) error {
	count := map[State]int{}
	seen := map[string]bool{}
	for _, k := range keys {
		count[k.state]++
		if seen[k.id] {
			return fmt.Errorf("key %s is there twice", k.id)
		}
		seen[k.id] = true
	}
	if count[Active] != 1 || count[Next] > 1 || count[Active]+count[Next]+count[Retired] != len(keys) {
		return fmt.Errorf("%d active and %d next keys; a ring has one active and at most one next", count[Active], count[Next])
	}
	rank := map[State]int{Next: 0, Active: 1, Retired: 2}
	slices.SortStableFunc(keys, func(a, b *key) int { return rank[a.state] - rank[b.state] })
	return nil
}
