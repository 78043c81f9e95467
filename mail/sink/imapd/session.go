package imapd

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"invited/mail/sink"
)

// session is one client. It implements imapserver.SessionIMAP4rev2. The library
// calls it for one command at a time.
type session struct {
	srv     *Server
	conn    *imapserver.Conn
	gate    *gate
	account string // the address, as given
	view    *view  // nil if no folder is selected
	last    message
}

var _ imapserver.SessionIMAP4rev2 = (*session)(nil)

// The folders by their names in IMAP.
const (
	inboxName = "INBOX"
	junkName  = "Junk"
)

// folderOf returns the folder called name; INBOX in any case.
func folderOf(name string) (sink.Folder, error) {
	switch {
	case strings.EqualFold(name, inboxName):
		return sink.Inbox, nil
	case name == junkName:
		return sink.Junk, nil
	}
	return "", refuse(imap.ResponseCodeNonExistent, "there are only INBOX and Junk")
}

func nameOf(f sink.Folder) string {
	if f == sink.Junk {
		return junkName
	}
	return inboxName
}

func refuse(code imap.ResponseCode, text string) *imap.Error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

// Close ends the session.
func (s *session) Close() error {
	if s.view != nil {
		s.view.close()
	}
	s.srv.forget(s)
	return nil
}

// Login serves LOGIN and AUTHENTICATE PLAIN: the user name is the address of a
// recipient, and any password is right.
func (s *session) Login(user, _ string) error {
	user = strings.TrimSpace(user)
	if !strings.Contains(user, "@") && !strings.EqualFold(user, "postmaster") || len(user) > 320 {
		return refuse(imap.ResponseCodeAuthenticationFailed, "the user name is the address of a recipient")
	}
	s.account = user
	s.gate.authed.Store(true)
	return nil
}

// Namespace serves NAMESPACE.
func (s *session) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: '/'}}}, nil
}

// Select serves SELECT and EXAMINE.
func (s *session) Select(mailbox string, o *imap.SelectOptions) (*imap.SelectData, error) {
	folder, err := folderOf(mailbox)
	if err != nil {
		return nil, err
	}
	v, err := s.newView(folder, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	s.view = v
	data := &imap.SelectData{
		Flags: v.flags(), NumMessages: uint32(len(v.items)),
		UIDNext: imap.UID(v.listing.Next), UIDValidity: v.listing.Validity,
	}
	if !o.ReadOnly {
		data.PermanentFlags = append(v.flags(), imap.FlagWildcard)
	}
	for i, it := range v.items {
		if !it.has(imap.FlagSeen) {
			data.FirstUnseenSeqNum = uint32(i + 1)
			break
		}
	}
	if s.conn.EnabledCaps().Has(imap.CapIMAP4rev2) {
		data.List = list(folder, &imap.ListOptions{})
	}
	return data, nil
}

// Unselect serves UNSELECT and CLOSE.
func (s *session) Unselect() error {
	s.view.close()
	s.view = nil
	return nil
}

// The folders are what they are. A refusal says so without a promise that
// trying otherwise would help.

// Create refuses CREATE.
func (s *session) Create(mailbox string, _ *imap.CreateOptions) error {
	if _, err := folderOf(mailbox); err == nil {
		return refuse(imap.ResponseCodeAlreadyExists, "the folder exists")
	}
	return refuse(imap.ResponseCodeCannot, "there are only INBOX and Junk")
}

// Delete refuses DELETE.
func (s *session) Delete(string) error {
	return refuse(imap.ResponseCodeCannot, "INBOX and Junk stay")
}

// Rename refuses RENAME.
func (s *session) Rename(string, string, *imap.RenameOptions) error {
	return refuse(imap.ResponseCodeCannot, "INBOX and Junk keep their names")
}

// Subscribe serves SUBSCRIBE: both folders are subscribed.
func (s *session) Subscribe(mailbox string) error {
	_, err := folderOf(mailbox)
	return err
}

// Unsubscribe refuses UNSUBSCRIBE.
func (s *session) Unsubscribe(string) error {
	return refuse(imap.ResponseCodeCannot, "both folders stay subscribed")
}

// List serves LIST and LSUB.
func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if len(patterns) == 0 { // a question for the delimiter
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: '/'})
	}
	for _, folder := range []sink.Folder{sink.Inbox, sink.Junk} {
		if o.SelectSpecialUse && folder != sink.Junk || !matches(nameOf(folder), ref, patterns) {
			continue
		}
		data := list(folder, o)
		if o.ReturnStatus != nil {
			status, err := s.Status(nameOf(folder), o.ReturnStatus)
			if err != nil {
				return err
			}
			data.Status = status
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

// list describes a folder. \Junk is said unasked (RFC 6154 section 2): clients
// without LIST-EXTENDED look for it, too.
func list(folder sink.Folder, o *imap.ListOptions) *imap.ListData {
	data := &imap.ListData{Mailbox: nameOf(folder), Delim: '/', Attrs: []imap.MailboxAttr{imap.MailboxAttrHasNoChildren}}
	if folder == sink.Junk {
		data.Attrs = append(data.Attrs, imap.MailboxAttrJunk)
	}
	if o.SelectSubscribed || o.ReturnSubscribed {
		data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
	}
	return data
}

// matches compares a name with patterns. Neighbouring wildcards are made one:
// the library tries them in all combinations.
func matches(name, ref string, patterns []string) bool {
	for _, p := range patterns {
		var short strings.Builder
		for i := 0; i < len(p); {
			wild := len(p[i:]) - len(strings.TrimLeft(p[i:], "*%"))
			switch {
			case wild == 0:
				short.WriteByte(p[i])
				i++
			case strings.Contains(p[i:i+wild], "*"):
				short.WriteByte('*')
			default:
				short.WriteByte('%')
			}
			i += wild
		}
		if ref == "" && name == inboxName && strings.EqualFold(p, name) || imapserver.MatchList(name, '/', ref, short.String()) {
			return true
		}
	}
	return false
}

// Status serves STATUS.
func (s *session) Status(mailbox string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	folder, err := folderOf(mailbox)
	if err != nil {
		return nil, err
	}
	if err := s.srv.opts.Sink.Settle(s.srv.ctx); err != nil {
		return nil, err
	}
	l, err := s.srv.opts.Sink.Entries(s.srv.ctx, s.account, folder)
	if err != nil {
		return nil, err
	}
	messages, none, unseen, deleted := uint32(len(l.Entries)), uint32(0), uint32(0), uint32(0)
	var size, dead int64
	for _, e := range l.Entries {
		it := item{Entry: e}
		size += int64(e.Size)
		if !it.has(imap.FlagSeen) {
			unseen++
		}
		if it.has(imap.FlagDeleted) {
			deleted++
			dead += int64(e.Size)
		}
	}
	limit := s.AppendLimit()
	return &imap.StatusData{
		Mailbox: nameOf(folder), NumMessages: &messages, NumRecent: &none, UIDNext: imap.UID(l.Next), UIDValidity: l.Validity,
		NumUnseen: &unseen, NumDeleted: &deleted, Size: &size, DeletedStorage: &dead, AppendLimit: &limit,
	}, nil
}

// AppendLimit is how many bytes Append takes.
func (s *session) AppendLimit() uint32 { return uint32(s.srv.opts.MaxLiteral) }

// Append serves APPEND: the message is received like any other, and put where
// the client wants it, whatever the judge says.
func (s *session) Append(mailbox string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	folder, err := folderOf(mailbox)
	if err != nil {
		return nil, err
	}
	if err := checkFlags(o.Flags); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	at := o.Time
	if at.IsZero() {
		at = s.srv.opts.Now()
	}
	box, ctx := s.srv.opts.Sink, s.srv.ctx
	id, err := box.Receive(ctx, sink.Envelope{
		To: []string{s.account}, User: s.account, Remote: s.conn.NetConn().RemoteAddr().String(), Received: at,
	}, raw)
	if errors.Is(err, sink.ErrFull) {
		return nil, refuse(imap.ResponseCodeOverQuota, "there is no room on the disk")
	}
	if err == nil {
		err = box.Indexed(ctx, id)
	}
	if err == nil {
		err = box.SetFolder(ctx, id, s.account, folder)
	}
	if err != nil {
		return nil, err
	}
	return s.appended(ctx, folder, id, o.Flags)
}

// appended flags a message and returns its number.
func (s *session) appended(ctx context.Context, folder sink.Folder, id string, flags []imap.Flag) (*imap.AppendData, error) {
	l, err := s.srv.opts.Sink.Entries(ctx, s.account, folder)
	if err != nil {
		return nil, err
	}
	for _, e := range l.Entries {
		if e.ID != id {
			continue
		}
		if len(flags) > 0 {
			if _, err := s.srv.opts.Sink.FlagEntries(ctx, s.account, folder, []uint32{e.UID}, sink.FlagChange{Flags: canonical(flags)}); err != nil {
				return nil, err
			}
		}
		return &imap.AppendData{UIDValidity: l.Validity, UID: imap.UID(e.UID)}, nil
	}
	return nil, nil // it was deleted meanwhile
}

// Poll tells the client of changes.
func (s *session) Poll(w *imapserver.UpdateWriter, expunge bool) error {
	if s.view == nil {
		return nil
	}
	return s.view.poll(s.srv.ctx, w, expunge)
}

// Idle serves IDLE.
func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.view == nil {
		select {
		case <-stop:
		case <-s.srv.ctx.Done():
		}
		return nil
	}
	return s.view.idle(s.srv.ctx, w, stop, &s.srv.looking)
}
