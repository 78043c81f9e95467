package imapd_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/imapd"
)

var tree = strings.ReplaceAll(`From: "Ada, Countess" <ada@contoso.example>
Sender: robot@contoso.example
To: Jane =?utf-8?q?D=C3=B6?= <jane@fabrikam.example>, postmaster
Cc: team: a@x.example, b@x.example;
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and more
In-Reply-To: <one@x.example> <two@x.example>
Message-ID: <three@contoso.example>
Date: Fri, 01 May 2026 11:59:00 +0200
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

preamble
--outer
Content-Type: multipart/alternative; boundary="in ner"

--in ner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Guten T=C3=A4g
--in ner
Content-Type: text/html

<p>Guten <b>Tag</b></p>

--in ner--
--outer
Content-Type: message/rfc822
Content-Disposition: attachment; filename="inner.eml"

Subject: embedded
From: x@y.example
Content-Type: multipart/mixed; boundary=deep

--deep

first of the embedded
--deep
Content-Type: text/plain

second
--deep--
--outer
Content-Type: application/octet-stream; name=a.bin
Content-Transfer-Encoding: base64

AAECAw==
--outer--
epilogue
`, "\n", "\r\n")

func TestFetchParts(t *testing.T) {
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box})
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	id, err := box.Receive(t.Context(), sink.Envelope{To: []string{jane}, Received: at}, []byte(tree))
	require.NoError(t, err)
	require.NoError(t, box.Indexed(t.Context(), id))
	c := login(t, addr, jane, nil)
	choose(t, c, "INBOX")

	sections := []struct {
		name string
		item imap.FetchItemBodySection
		want string
	}{
		{"everything", imap.FetchItemBodySection{}, tree},
		{"a piece", imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 6, Size: 15}}, `"Ada, Countess"`},
		{"a piece beyond the end", imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 1 << 30, Size: 1 << 62}}, ""},
		{"the header", imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader}, tree[:strings.Index(tree, "preamble")]},
		{"the text", imap.FetchItemBodySection{Specifier: imap.PartSpecifierText}, tree[strings.Index(tree, "preamble"):]},
		{"fields", imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"SENDER", "x-none"}}, "Sender: robot@contoso.example\r\n\r\n"},
		{"a leaf", imap.FetchItemBodySection{Part: []int{1, 1}}, "Guten T=C3=A4g"},
		{"its MIME header", imap.FetchItemBodySection{Part: []int{1, 1}, Specifier: imap.PartSpecifierMIME}, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"},
		{"a line end that belongs to the part", imap.FetchItemBodySection{Part: []int{1, 2}}, "<p>Guten <b>Tag</b></p>\r\n"},
		{"the header of an embedded message", imap.FetchItemBodySection{Part: []int{2}, Specifier: imap.PartSpecifierHeader}, "Subject: embedded\r\nFrom: x@y.example\r\nContent-Type: multipart/mixed; boundary=deep\r\n\r\n"},
		{"a part of it", imap.FetchItemBodySection{Part: []int{2, 1}}, "first of the embedded"},
		{"no such part", imap.FetchItemBodySection{Part: []int{4}}, ""},
		{"a leaf has no parts", imap.FetchItemBodySection{Part: []int{3, 1}}, ""},
		{"a leaf has no header", imap.FetchItemBodySection{Part: []int{3}, Specifier: imap.PartSpecifierHeader}, ""},
	}
	for _, tt := range sections {
		t.Run(tt.name, func(t *testing.T) {
			tt.item.Peek = true
			got, err := c.Fetch(imap.UIDSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{&tt.item}}).Collect()
			require.NoError(t, err)
			require.Len(t, got[0].BodySection, 1)
			require.Equal(t, tt.want, string(got[0].BodySection[0].Bytes))
		})
	}
	require.Empty(t, flagsOf(t, c, 1), "a peek does not read")

	got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{
		Envelope: true, InternalDate: true, RFC822Size: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BinarySection:     []*imap.FetchItemBinarySection{{Part: []int{1, 1}, Peek: true}, {Part: []int{3}, Peek: true}},
		BinarySectionSize: []*imap.FetchItemBinarySectionSize{{Part: []int{3}}},
	}).Collect()
	require.NoError(t, err)
	m := got[0]
	require.EqualValues(t, len(tree), m.RFC822Size)
	require.True(t, at.Equal(m.InternalDate))
	require.Equal(t, "Guten Täg", string(m.BinarySection[0].Bytes))
	require.Equal(t, "\x00\x01\x02\x03", string(m.BinarySection[1].Bytes))
	require.EqualValues(t, 4, m.BinarySectionSize[0].Size)

	require.Equal(t, "Grüße and more", m.Envelope.Subject)
	require.Equal(t, []imap.Address{{Name: "Ada, Countess", Mailbox: "ada", Host: "contoso.example"}}, m.Envelope.From)
	require.Equal(t, []imap.Address{{Mailbox: "robot", Host: "contoso.example"}}, m.Envelope.Sender)
	require.Equal(t, m.Envelope.From, m.Envelope.ReplyTo)
	require.Equal(t, "Jane Dö", m.Envelope.To[0].Name)
	require.Equal(t, []string{"one@x.example", "two@x.example"}, m.Envelope.InReplyTo)
	require.Equal(t, "three@contoso.example", m.Envelope.MessageID)

	var shape []string
	m.BodyStructure.Walk(func(path []int, part imap.BodyStructure) bool {
		line := fmt.Sprint(path, " ", part.MediaType())
		if d := part.Disposition(); d != nil {
			line += " " + d.Value + " " + d.Params["filename"]
		}
		if s, ok := part.(*imap.BodyStructureSinglePart); ok {
			line += fmt.Sprint(" ", s.Size)
			if s.MessageRFC822 != nil {
				line += " " + s.MessageRFC822.Envelope.Subject + " " + s.MessageRFC822.BodyStructure.MediaType()
			}
		}
		shape = append(shape, line)
		return true
	})
	require.Equal(t, []string{
		"[] multipart/mixed", "[1] multipart/alternative", "[1 1] text/plain 14", "[1 2] text/html 25",
		"[2] message/rfc822 attachment inner.eml 171 embedded multipart/mixed", "[3] application/octet-stream 8",
	}, shape)

	_, err = c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).Collect()
	require.NoError(t, err)
	require.Equal(t, []string{`\seen`}, flagsOf(t, c, 1))
}

// TestOddMailComesBackWhole holds that whatever was stored is what BODY[] is,
// and that its structure can be written and read.
func TestOddMailComesBackWhole(t *testing.T) {
	odd := []string{
		"", "\r\n", "no header at all", "\r\nno header", "Subject: bare\n\nline\nends", "Subject: no body",
		"Content-Type: multipart/mixed\r\n\r\nno boundary", "Content-Type: multipart/mixed; boundary=x\r\n\r\nnever used",
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nunfinished", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
		"Content-Type: text/plain; charset=\"unfinished\r\n\r\nx", "Content-Type: ;;;\r\n\r\nx", "Subject: \xff\xfe\x80\r\n\r\n\x00\xff",
		"From: <a@b> junk <\r\nTo: ,,,\r\nCc: group:;\r\nDate: yesterday\r\n\r\nx", "Content-Type: message/rfc822\r\n\r\n",
		"Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: in a digest\r\n\r\nx\r\n--x--",
		"Content-Disposition: \"\r\nContent-Type: text/plain; name*0=a; name*1=\xe4\r\n\r\nx",
		strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 100) + "deep",
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\n", 3000),
		"Subject: " + strings.Repeat("long ", 2000) + "\r\n\r\n",
	}
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box})
	for _, raw := range odd {
		deliver(t, box, raw)
	}
	c := login(t, addr, jane, nil)
	choose(t, c, "INBOX")
	got, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{
		RFC822Size: true, Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	}).Collect()
	require.NoError(t, err)
	require.Len(t, got, len(odd))
	for i, m := range got {
		require.EqualValues(t, len(odd[i]), m.RFC822Size)
		require.Equal(t, odd[i], string(m.BodySection[0].Bytes))
		require.NotNil(t, m.BodyStructure)
	}
	require.Equal(t, "multipart/digest", got[15].BodyStructure.MediaType())
}

func TestSearch(t *testing.T) {
	box := openSink(t, t.TempDir())
	_, addr := start(t, imapd.Options{Sink: box})
	day := time.Date(2026, 5, 1, 23, 30, 0, 0, time.UTC)
	put := func(raw string, after int) {
		id, err := box.Receive(t.Context(), sink.Envelope{To: []string{jane}, Received: day.AddDate(0, 0, after)}, []byte(raw))
		require.NoError(t, err)
		require.NoError(t, box.Indexed(t.Context(), id))
	}
	put(note("alpha", "", "plain words"), 0)                                                                         // 1
	put(tree, 1)                                                                                                     // 2
	put(note("gamma", "X-Odd: value\r\nBcc: hidden@x.example\r\n", strings.Repeat("filler ", 500)), 2)               // 3
	put(note("delta", "Content-Transfer-Encoding: base64\r\n", base64.StdEncoding.EncodeToString([]byte("täg"))), 3) // 4
	c := login(t, addr, jane, nil)
	choose(t, c, "INBOX")
	for uid, flag := range map[imap.UID]imap.Flag{1: imap.FlagSeen, 2: imap.FlagFlagged, 3: "Todo", 4: imap.FlagDeleted} {
		_, err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}}, nil).Collect()
		require.NoError(t, err)
	}
	header := func(key, value string) imap.SearchCriteria {
		return imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: key, Value: value}}}
	}
	at := func(days int) time.Time { return time.Date(2026, 5, 1+days, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		name string
		want []imap.UID
		c    imap.SearchCriteria
	}{
		{"all", []imap.UID{1, 2, 3, 4}, imap.SearchCriteria{}},
		{"seen", []imap.UID{1}, imap.SearchCriteria{Flag: []imap.Flag{imap.FlagSeen}}},
		{"unseen", []imap.UID{2, 3, 4}, imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}},
		{"keyword, in any case", []imap.UID{3}, imap.SearchCriteria{Flag: []imap.Flag{"TODO"}}},
		{"deleted or flagged", []imap.UID{2, 4}, imap.SearchCriteria{Or: [][2]imap.SearchCriteria{{{Flag: []imap.Flag{imap.FlagDeleted}}, {Flag: []imap.Flag{imap.FlagFlagged}}}}}},
		{"from a name", []imap.UID{2}, header("From", "countess")},
		{"from an address", []imap.UID{1, 2, 3, 4}, header("From", "ADA@contoso")},
		{"to, decoded", []imap.UID{2}, header("To", "jane dö")},
		{"bcc", []imap.UID{3}, header("Bcc", "hidden")},
		{"subject, decoded", []imap.UID{2}, header("Subject", "GRÜßE AND")},
		{"a field that is there", []imap.UID{3}, header("x-odd", "")},
		{"body", []imap.UID{1}, imap.SearchCriteria{Body: []string{"PLAIN Words"}}},
		{"body, decoded", []imap.UID{2, 4}, imap.SearchCriteria{Body: []string{"täg"}}},
		{"body is not the header", nil, imap.SearchCriteria{Body: []string{"gamma"}}},
		{"text", []imap.UID{3}, imap.SearchCriteria{Text: []string{"gamma"}}},
		{"since", []imap.UID{3, 4}, imap.SearchCriteria{Since: at(2)}},
		{"before", []imap.UID{1}, imap.SearchCriteria{Before: at(1)}},
		{"sent on", []imap.UID{1, 2, 3, 4}, imap.SearchCriteria{SentSince: at(0), SentBefore: at(1)}},
		{"larger", []imap.UID{3}, imap.SearchCriteria{Larger: 2000}},
		{"smaller", []imap.UID{1, 4}, imap.SearchCriteria{Smaller: 500}},
		{"uids", []imap.UID{3, 4}, imap.SearchCriteria{UID: []imap.UIDSet{{{Start: 3}}}}},
		{"the last, however it is named", []imap.UID{4}, imap.SearchCriteria{UID: []imap.UIDSet{{{Start: 900}}}}},
		{"sequence numbers", []imap.UID{2}, imap.SearchCriteria{SeqNum: []imap.SeqSet{imap.SeqSetNum(2, 9)}}},
		{"not", []imap.UID{1, 3, 4}, imap.SearchCriteria{Not: []imap.SearchCriteria{{Body: []string{"guten"}}}}},
		{"several", []imap.UID{4}, imap.SearchCriteria{Since: at(1), NotFlag: []imap.Flag{imap.FlagFlagged}, Body: []string{"täg"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, uidsOf(t, c, &tt.c)) })
	}
	data, err := c.Search(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, &imap.SearchOptions{ReturnMin: true, ReturnMax: true, ReturnCount: true, ReturnSave: true}).Wait()
	require.NoError(t, err)
	require.EqualValues(t, []uint32{2, 4, 3}, []uint32{data.Min, data.Max, data.Count})
	said := talk(t, addr, "a LOGIN "+jane+" x\r\nb SELECT INBOX\r\nc SEARCH RETURN (SAVE) UNSEEN\r\nd FETCH $ (UID)\r\ne UID SEARCH $ FLAGGED\r\n", "e ")
	require.Contains(t, said, "* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\n* 4 FETCH (UID 4)\r\nd OK")
	require.Contains(t, said, "* SEARCH 2\r\ne OK")
}

// BenchmarkSearchBody looks for a word in 5,000 mails.
func BenchmarkSearchBody(b *testing.B) {
	box, err := sink.Open(sink.Options{Dir: b.TempDir(), MaxMessages: 6000})
	require.NoError(b, err)
	b.Cleanup(func() { _ = box.Close() })
	_, addr := start(b, imapd.Options{Sink: box})
	text := strings.Repeat(strings.Repeat("word ", 14)+"\r\n", 280)
	var last string
	for i := range 5000 {
		last, err = box.Receive(b.Context(), sink.Envelope{To: []string{jane}}, []byte(note(fmt.Sprint("mail ", i), "", text)))
		require.NoError(b, err)
	}
	require.NoError(b, box.Indexed(b.Context(), last))
	c := login(b, addr, jane, nil)
	b.Run("select", func(b *testing.B) {
		for b.Loop() {
			choose(b, c, "INBOX")
		}
	})
	b.Run("subject", func(b *testing.B) {
		for b.Loop() {
			require.Len(b, uidsOf(b, c, &imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "mail 4999"}}}), 1)
		}
	})
	b.Run("body", func(b *testing.B) {
		for b.Loop() {
			require.Empty(b, uidsOf(b, c, &imap.SearchCriteria{Body: []string{"absent"}}))
		}
	})
	b.Run("envelopes", func(b *testing.B) {
		for b.Loop() {
			got, err := c.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{Envelope: true, Flags: true}).Collect()
			require.NoError(b, err)
			require.Len(b, got, 5000)
		}
	})
}
