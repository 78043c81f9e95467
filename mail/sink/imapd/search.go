package imapd

import (
	"errors"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"invited/mail/sink"
	"invited/mail/sink/mime"
)

// Search serves SEARCH. Texts are compared as people read them: decoded, in any
// case; in the body, those of text and HTML and of attachments that are text.
func (s *session) Search(kind imapserver.NumKind, c *imap.SearchCriteria, o *imap.SearchOptions) (*imap.SearchData, error) {
	var seqs imap.SeqSet
	var uids imap.UIDSet
	data := &imap.SearchData{}
	want := s.criteria(c)
	for i, it := range s.view.items {
		if it.gone {
			continue
		}
		ok, err := want(&candidate{item: it, session: s, seq: uint32(i + 1)})
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		uids.AddNum(imap.UID(it.UID))
		n := it.UID
		if kind == imapserver.NumKindSeq {
			n = uint32(i + 1)
			seqs.AddNum(n)
		}
		if data.Count++; data.Min == 0 {
			data.Min = n
		}
		data.Max = n
	}
	data.All = seqs
	if kind == imapserver.NumKindUID {
		data.All = uids
	}
	if o.ReturnSave {
		s.view.found = uids
	}
	return data, nil
}

// candidate is a message that is looked at. Its mail is read if that is needed.
type candidate struct {
	*item
	session *session
	seq     uint32

	read           bool
	header, parsed *mime.Message // header alone, all
	tree           *part
	lines          []string // lower-case
	words          []string
}

type test func(*candidate) (bool, error)

// criteria makes a test of what is asked for: what costs least first.
func (s *session) criteria(c *imap.SearchCriteria) test {
	var all []test
	plain := func(fn func(*candidate) bool) {
		all = append(all, func(m *candidate) (bool, error) { return fn(m), nil })
	}
	for _, set := range c.SeqNum {
		in := s.view.contains(set)
		plain(func(m *candidate) bool { return in(m.seq, 0) })
	}
	for _, set := range c.UID {
		in := s.view.contains(set)
		plain(func(m *candidate) bool { return in(0, m.UID) })
	}
	for _, f := range c.Flag {
		plain(func(m *candidate) bool { return m.has(f) })
	}
	for _, f := range c.NotFlag {
		plain(func(m *candidate) bool { return !m.has(f) })
	}
	plain(func(m *candidate) bool {
		return within(m.Received.UTC(), c.Since, c.Before) && (c.Larger == 0 || int64(m.Size) > c.Larger) && (c.Smaller == 0 || int64(m.Size) < c.Smaller)
	})
	all = append(all, s.texts(c)...)
	for i := range c.Not {
		inner := s.criteria(&c.Not[i])
		all = append(all, func(m *candidate) (bool, error) { ok, err := inner(m); return !ok, err })
	}
	for i := range c.Or {
		a, b := s.criteria(&c.Or[i][0]), s.criteria(&c.Or[i][1])
		all = append(all, func(m *candidate) (bool, error) {
			if ok, err := a(m); ok || err != nil {
				return ok, err
			}
			return b(m)
		})
	}
	return func(m *candidate) (bool, error) {
		for _, t := range all {
			if ok, err := t(m); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}
}

// texts are the tests that read the mail.
func (s *session) texts(c *imap.SearchCriteria) []test {
	var all []test
	reading := func(fn func(*candidate) bool) {
		all = append(all, func(m *candidate) (bool, error) {
			if err := m.load(); err != nil {
				return false, err
			}
			return m.tree != nil && fn(m), nil
		})
	}
	if !c.SentSince.IsZero() || !c.SentBefore.IsZero() {
		reading(func(m *candidate) bool {
			return !m.header.Date.IsZero() && within(m.header.Date, c.SentSince, c.SentBefore)
		})
	}
	for _, h := range c.Header {
		value := strings.ToLower(h.Value)
		reading(func(m *candidate) bool { return m.hasField(h.Key, value) })
	}
	for _, b := range c.Body {
		b = strings.ToLower(b)
		reading(func(m *candidate) bool { return m.contains(b, false) })
	}
	for _, b := range c.Text {
		b = strings.ToLower(b)
		reading(func(m *candidate) bool { return m.contains(b, true) })
	}
	return all
}

// within compares days, without regard to time and zone (RFC 3501 section
// 6.4.4).
func within(t, since, before time.Time) bool {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return (since.IsZero() || !day.Before(since)) && (before.IsZero() || day.Before(before))
}

// load reads the mail and its header. A message that is gone has no tree.
func (m *candidate) load() error {
	if m.read {
		return nil
	}
	m.read = true
	raw, err := m.session.srv.opts.Sink.RawEntry(m.session.srv.ctx, m.Entry)
	if errors.Is(err, sink.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	m.tree = &part{raw: raw}
	m.tree.header, m.tree.body = splitHeader(raw)
	m.header, _ = mime.Summary(m.tree.header)
	return nil
}

func (m *candidate) hasField(name, value string) bool {
	for _, f := range m.header.Header {
		if strings.EqualFold(f.Name, name) &&
			(strings.Contains(strings.ToLower(f.Decoded), value) || strings.Contains(strings.ToLower(f.Value), value)) {
			return true
		}
	}
	return false
}

// contains looks into the texts, and with lines into the header fields of all
// parts.
func (m *candidate) contains(value string, lines bool) bool {
	if m.parsed == nil {
		m.parsed, _ = mime.Parse(m.tree.raw, mime.Limits{Links: 1})
		m.words = []string{strings.ToLower(m.parsed.Text), strings.ToLower(m.parsed.HTMLText), strings.ToLower(m.parsed.HTML)}
		for _, p := range m.parsed.Attachments {
			if strings.HasPrefix(p.ContentType, "text/") {
				m.words = append(m.words, strings.ToLower(string(p.Content())))
			}
		}
		fields := m.parsed.Header
		for _, p := range m.parsed.Parts {
			fields = append(fields[:len(fields):len(fields)], p.Header...)
		}
		for _, f := range fields {
			m.lines = append(m.lines, strings.ToLower(f.Name+": "+f.Decoded))
		}
	}
	in := m.words
	if lines {
		in = append(in[:len(in):len(in)], m.lines...)
	}
	for _, s := range in {
		if strings.Contains(s, value) {
			return true
		}
	}
	return false
}
