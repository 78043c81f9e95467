package imapd

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"invited/mail/sink"
)

// Limits of keywords.
const (
	maxKeyword  = 64
	maxKeywords = 64 // in one command
)

// system are the flags of RFC 3501 section 2.3.2 that a client may set.
var system = []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft}

func checkFlags(flags []imap.Flag) error {
	if len(flags) > maxKeywords {
		return refuse(imap.ResponseCodeLimit, "too many flags")
	}
	for _, f := range flags {
		known := slices.ContainsFunc(system, func(s imap.Flag) bool { return strings.EqualFold(string(s), string(f)) })
		switch {
		case strings.HasPrefix(string(f), `\`) && !known:
			return refuse(imap.ResponseCodeCannot, "the flag cannot be set")
		case len(f) > maxKeyword:
			return refuse(imap.ResponseCodeLimit, "a keyword has at most 64 characters")
		}
	}
	return nil
}

// canonical spells the flags of the standard as the standard does.
func canonical(flags []imap.Flag) []string {
	out := make([]string, len(flags))
	for i, f := range flags {
		out[i] = string(f)
		for _, s := range system {
			if strings.EqualFold(string(s), string(f)) {
				out[i] = string(s)
			}
		}
	}
	return out
}

func (s *session) writable() error {
	if s.view.readOnly {
		return refuse(imap.ResponseCodeNoPerm, "the folder was opened with EXAMINE")
	}
	return nil
}

// Store serves STORE. The answers are written by Poll.
func (s *session) Store(_ *imapserver.FetchWriter, set imap.NumSet, f *imap.StoreFlags, _ *imap.StoreOptions) error {
	if err := s.writable(); err != nil {
		return err
	}
	if f.Op != imap.StoreFlagsDel {
		if err := checkFlags(f.Flags); err != nil {
			return err
		}
	}
	ops := map[imap.StoreFlagsOp]sink.FlagOp{
		imap.StoreFlagsAdd: sink.AddFlags, imap.StoreFlagsDel: sink.RemoveFlags, imap.StoreFlagsSet: sink.ReplaceFlags,
	}
	uids := s.view.uids(set)
	if len(uids) == 0 {
		return nil
	}
	return s.flag(uids, sink.FlagChange{Op: ops[f.Op], Flags: canonical(f.Flags)}, !f.Silent)
}

// flag changes flags and the view with them. With tell, Poll will say what the
// flags are, even if they were so before.
func (s *session) flag(uids []uint32, c sink.FlagChange, tell bool) error {
	v := s.view
	now, err := s.srv.opts.Sink.FlagEntries(s.srv.ctx, v.account, v.folder, uids, c)
	if err != nil {
		return err
	}
	for _, it := range v.items {
		if len(now) > 0 && now[0].UID == it.UID {
			it.Flags, it.tell = now[0].Flags, it.tell || tell
			now = now[1:]
		}
	}
	return nil
}

// Expunge serves EXPUNGE, UID EXPUNGE and CLOSE.
func (s *session) Expunge(w *imapserver.ExpungeWriter, only *imap.UIDSet) error {
	v := s.view
	if v.readOnly {
		if *w == (imapserver.ExpungeWriter{}) { // CLOSE
			return nil
		}
		return s.writable()
	}
	if err := v.refresh(s.srv.ctx); err != nil { // others may have set \Deleted, or taken it off
		return err
	}
	in := func(uint32, uint32) bool { return true }
	if only != nil {
		in = v.contains(*only)
	}
	var uids []uint32
	for i, it := range v.items {
		if !it.gone && it.has(imap.FlagDeleted) && in(uint32(i+1), it.UID) {
			uids = append(uids, it.UID)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	removed, err := s.srv.opts.Sink.RemoveEntries(s.srv.ctx, v.account, v.folder, uids)
	if err != nil {
		return err
	}
	return s.gone(removed, w.WriteExpunge)
}

// gone takes entries, ascending, out of the view and tells of it.
func (s *session) gone(uids []uint32, write func(uint32) error) error {
	for _, seq := range s.view.take(func(it *item) bool { _, ok := slices.BinarySearch(uids, it.UID); return ok }) {
		if err := write(seq); err != nil {
			return err
		}
	}
	return nil
}

// Copy serves COPY.
func (s *session) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	to, err := folderOf(dest)
	if err != nil {
		return nil, err
	}
	v := s.view
	copied, err := s.srv.opts.Sink.CopyEntries(s.srv.ctx, v.account, v.folder, v.uids(set), to)
	if err != nil {
		return nil, err
	}
	return v.copyData(copied), nil
}

// copyData is nil if there is nothing to say.
func (v *view) copyData(renumbered []sink.Renumbered) *imap.CopyData {
	if len(renumbered) == 0 {
		return nil
	}
	data := &imap.CopyData{UIDValidity: v.listing.Validity}
	for _, r := range renumbered {
		data.SourceUIDs.AddNum(imap.UID(r.From))
		data.DestUIDs.AddNum(imap.UID(r.To))
	}
	return data
}

// Move serves MOVE. Moving a message to Junk is what the button "this is junk"
// of a mail client does.
func (s *session) Move(w *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	to, err := folderOf(dest)
	if err != nil {
		return err
	}
	if err := s.writable(); err != nil {
		return err
	}
	v := s.view
	moved, err := s.srv.opts.Sink.MoveEntries(s.srv.ctx, v.account, v.folder, v.uids(set), to)
	if err != nil || len(moved) == 0 {
		return err
	}
	if err := w.WriteCopyData(v.copyData(moved)); err != nil {
		return err
	}
	uids := make([]uint32, len(moved))
	for i, m := range moved {
		uids[i] = m.From
	}
	return s.gone(uids, w.WriteExpunge)
}
