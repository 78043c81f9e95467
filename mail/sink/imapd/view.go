package imapd

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"invited/mail/sink"
)

// item is an entry as the client knows it.
type item struct {
	sink.Entry
	gone bool // it is no longer there, and the client is still to be told
	tell bool // its flags are to be told
}

func (it *item) has(flag imap.Flag) bool {
	return slices.ContainsFunc(it.Flags, func(f string) bool { return strings.EqualFold(f, string(flag)) })
}

// view is a client's picture of the folder it selected. Sequence numbers are
// places in items, and so items changes only when the client is told.
type view struct {
	watch    *watch
	sink     *sink.Sink
	hub      *hub
	account  string
	folder   sink.Folder
	readOnly bool

	items    []*item // ascending by UID
	listing  sink.Listing
	keywords []string // that the client was told of, sorted
	told     int      // of how many items the client knows
	found    imap.UIDSet
}

func (s *session) newView(folder sink.Folder, readOnly bool) (*view, error) {
	v := &view{
		watch: &watch{account: sink.Key(s.account), wake: make(chan struct{}, 1)},
		sink:  s.srv.opts.Sink, hub: s.srv.hub, account: s.account, folder: folder, readOnly: readOnly,
	}
	v.hub.add(v.watch) // before looking: what changes meanwhile is looked at again
	err := v.sink.Settle(s.srv.ctx)
	if err == nil {
		err = v.refresh(s.srv.ctx)
	}
	if err != nil {
		v.close()
		return nil, err
	}
	v.keywords, v.told = v.used(), len(v.items)
	return v, nil
}

func (v *view) close() { v.hub.remove(v.watch) }

// refresh compares the picture with the folder. What is new is appended: its
// numbers are higher than all before.
func (v *view) refresh(ctx context.Context) error {
	v.watch.dirty.Store(false)
	l, err := v.sink.Entries(ctx, v.account, v.folder)
	if err != nil {
		v.watch.dirty.Store(true)
		return err
	}
	v.listing = l
	ids := make(map[string]struct{}, len(l.Entries))
	rest := l.Entries
	for _, it := range v.items {
		for len(rest) > 0 && rest[0].UID < it.UID {
			rest = rest[1:] // was gone, and cannot come back
		}
		if len(rest) == 0 || rest[0].UID != it.UID {
			it.gone = true
			continue
		}
		if !slices.Equal(it.Flags, rest[0].Flags) {
			it.Flags, it.tell = rest[0].Flags, true
		}
		rest = rest[1:]
	}
	for _, e := range rest {
		v.items = append(v.items, &item{Entry: e})
	}
	for _, e := range l.Entries {
		ids[e.ID] = struct{}{}
	}
	v.watch.show(ids)
	return nil
}

// used returns the keywords of the folder.
func (v *view) used() []string {
	all := map[string]bool{}
	for _, it := range v.items {
		for _, f := range it.Flags {
			if !strings.HasPrefix(f, `\`) {
				all[f] = true
			}
		}
	}
	out := make([]string, 0, len(all))
	for f := range all {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}

// flags returns the flags there are and, with a wildcard, may be.
func (v *view) flags() []imap.Flag {
	out := []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft}
	for _, k := range v.keywords {
		out = append(out, imap.Flag(k))
	}
	return out
}

// poll tells the client what changed, with everything that was received and done
// before.
func (v *view) poll(ctx context.Context, w *imapserver.UpdateWriter, expunge bool) error {
	if err := v.sink.Settle(ctx); err != nil {
		return err
	}
	v.hub.sync()
	if v.watch.dirty.Load() {
		if err := v.refresh(ctx); err != nil {
			return err
		}
	}
	return v.tell(w, expunge)
}

// tell says how the picture differs from what the client was told.
func (v *view) tell(w *imapserver.UpdateWriter, expunge bool) error {
	if expunge {
		for _, seq := range v.take(func(it *item) bool { return it.gone }) {
			if err := w.WriteExpunge(seq); err != nil {
				return err
			}
		}
	}
	if len(v.items) != v.told {
		v.told = len(v.items)
		if err := w.WriteNumMessages(uint32(v.told)); err != nil {
			return err
		}
	}
	return v.tellFlags(w)
}

func (v *view) tellFlags(w *imapserver.UpdateWriter) error {
	for _, it := range v.items {
		for _, f := range it.Flags {
			if it.tell && !strings.HasPrefix(f, `\`) && !slices.Contains(v.keywords, f) {
				v.keywords = v.used()
				if err := w.WriteMailboxFlags(v.flags()); err != nil {
					return err
				}
			}
		}
	}
	for i, it := range v.items {
		if !it.tell {
			continue
		}
		it.tell = false
		if it.gone {
			continue
		}
		if err := w.WriteMessageFlags(uint32(i+1), imap.UID(it.UID), imapFlags(it.Flags)); err != nil {
			return err
		}
	}
	return nil
}

// take removes items and returns the sequence numbers to say that with, last
// one first. Those that the client never heard of need no saying.
func (v *view) take(which func(*item) bool) []uint32 {
	var seqs []uint32
	for i := len(v.items) - 1; i >= 0; i-- {
		if which(v.items[i]) && i < v.told {
			seqs = append(seqs, uint32(i+1))
		}
	}
	v.told -= len(seqs)
	v.items = slices.DeleteFunc(v.items, which)
	return seqs
}

// minRest is the least time between two looks of an idle session.
const minRest = 20 * time.Millisecond

// idle tells the client what changes until stop. All idle sessions together
// look one at a time, and each rests for longer than that took, so that they
// leave the machine to the mail that is coming in.
func (v *view) idle(ctx context.Context, w *imapserver.UpdateWriter, stop <-chan struct{}, looking *sync.Mutex) error {
	for {
		begin := time.Now()
		if v.watch.dirty.Load() {
			looking.Lock()
			err := v.refresh(ctx)
			looking.Unlock()
			if err != nil {
				return err
			}
		}
		if err := v.tell(w, true); err != nil {
			return err
		}
		rest := time.NewTimer(max(minRest, 4*time.Since(begin)))
		select {
		case <-rest.C:
		case <-stop:
			rest.Stop()
			return nil
		case <-ctx.Done():
			rest.Stop()
			return nil
		}
		select {
		case <-v.watch.wake:
		case <-stop:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// each calls fn for the items of a set, with their sequence numbers, ascending.
func (v *view) each(set imap.NumSet, fn func(seq uint32, it *item) error) error {
	in := v.contains(set)
	for i, it := range v.items {
		if in(uint32(i+1), it.UID) {
			if err := fn(uint32(i+1), it); err != nil {
				return err
			}
		}
	}
	return nil
}

// uids returns the numbers of a set's items.
func (v *view) uids(set imap.NumSet) []uint32 {
	var out []uint32
	_ = v.each(set, func(_ uint32, it *item) error {
		out = append(out, it.UID)
		return nil
	})
	return out
}

// contains resolves "*", the highest number there is, and "$", the result of
// the last search that was saved.
func (v *view) contains(set imap.NumSet) func(seq, uid uint32) bool {
	switch set := set.(type) {
	case imap.SeqSet:
		var fixed imap.SeqSet
		for _, r := range set {
			start, stop := star(r.Start, uint32(len(v.items))), star(r.Stop, uint32(len(v.items)))
			fixed.AddRange(min(start, stop), max(start, stop))
		}
		return func(seq, _ uint32) bool { return fixed.Contains(seq) }
	case imap.UIDSet:
		if imap.IsSearchRes(set) {
			return func(_, uid uint32) bool { return v.found.Contains(imap.UID(uid)) }
		}
		var highest uint32
		if n := len(v.items); n > 0 {
			highest = v.items[n-1].UID
		}
		var fixed imap.UIDSet
		for _, r := range set {
			start, stop := star(uint32(r.Start), highest), star(uint32(r.Stop), highest)
			fixed.AddRange(imap.UID(min(start, stop)), imap.UID(max(start, stop)))
		}
		return func(_, uid uint32) bool { return fixed.Contains(imap.UID(uid)) }
	}
	return func(uint32, uint32) bool { return false }
}

// star returns what "*", which is written 0, means. In an empty folder it is a
// number nothing has.
func star(n, highest uint32) uint32 {
	if n == 0 {
		n = highest
	}
	return max(n, 1)
}

func imapFlags(in []string) []imap.Flag {
	out := make([]imap.Flag, len(in))
	for i, f := range in {
		out[i] = imap.Flag(f)
	}
	return out
}
