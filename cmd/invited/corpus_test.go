package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/stretchr/testify/require"
)

// ownCorpora are the folders of odd mail in this repository.
var ownCorpora = []string{
	"testdata/hostile", "../../mail/sink/mime/testdata", "../../mail/dsn/testdata", "../../mail/compose/testdata", "../../server/letters/testdata",
}

// corpusFiles returns the mails of a folder and those below it.
func corpusFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		ext := filepath.Ext(path)
		if err == nil && d.Type().IsRegular() && (slices.Contains([]string{".eml", ".raw", ".golden"}, ext) || strings.HasPrefix(d.Name(), "msg_")) {
			files = append(files, path)
		}
		return err
	}))
	require.NotEmpty(t, files, "%s holds no mail", dir)
	return files
}

// A mailCarrier brings a mail to the sink. What it stores is want(mail).
type mailCarrier struct {
	name string
	send func(*textproto.Conn, []byte) error // after RCPT; the reply is read by the caller
	want func([]byte) []byte
}

// mailCarriers are the two ways of SMTP. BDAT carries any bytes. DATA carries
// lines: the last one gets the CR LF that it may lack, and nothing else is
// changed, not even a CR or LF that stands alone.
var mailCarriers = []mailCarrier{
	{"BDAT", func(c *textproto.Conn, raw []byte) error {
		fmt.Fprintf(c.W, "BDAT %d LAST\r\n", len(raw))
		_, err := c.W.Write(raw)
		return err
	}, func(raw []byte) []byte { return raw }},
	{"DATA", func(c *textproto.Conn, raw []byte) error {
		if err := c.PrintfLine("DATA"); err != nil {
			return err
		}
		if _, _, err := c.ReadResponse(354); err != nil {
			return err
		}
		lines := bytes.ReplaceAll(withLastLineEnd(raw), []byte("\r\n."), []byte("\r\n.."))
		if bytes.HasPrefix(lines, []byte(".")) {
			lines = append([]byte("."), lines...)
		}
		_, err := c.W.Write(append(lines, ".\r\n"...))
		return err
	}, withLastLineEnd},
}

func withLastLineEnd(raw []byte) []byte {
	if len(raw) == 0 || bytes.HasSuffix(raw, []byte("\r\n")) {
		return raw
	}
	return append(slices.Clone(raw), "\r\n"...)
}

// carry delivers one mail and returns the last reply, which is 250.
func (s *testServer) carry(t *testing.T, by mailCarrier, to string, raw []byte) string {
	t.Helper()
	c, err := textproto.Dial("tcp", s.SMTPAddr())
	require.NoError(t, err)
	defer c.Close()
	_, _, err = c.ReadResponse(220)
	require.NoError(t, err)
	for _, command := range []string{"EHLO client.example", "MAIL FROM:<a@contoso.example> BODY=8BITMIME", "RCPT TO:<" + to + ">"} {
		require.NoError(t, c.PrintfLine("%s", command))
		_, _, err = c.ReadResponse(250)
		require.NoError(t, err, command)
	}
	require.NoError(t, by.send(c, raw))
	require.NoError(t, c.W.Flush())
	_, reply, err := c.ReadResponse(250)
	require.NoError(t, err)
	return reply
}

// shownWithin is how long one look at a mail may take.
const shownWithin = time.Second

// look gets a page of the sink, in time.
func (s *testServer) look(t *testing.T, path string) []byte {
	t.Helper()
	start := time.Now()
	data, status, err := s.sink.send(s.env, http.MethodGet, path, nil)
	require.NoError(t, err, path)
	require.Equal(t, http.StatusOK, status, path)
	require.Less(t, time.Since(start), shownWithin, path)
	return data
}

// fetchByIMAP returns the one mail in a recipient's folder.
func (s *testServer) fetchByIMAP(t *testing.T, to, folder string) []byte {
	t.Helper()
	start := time.Now()
	c, err := imapclient.DialInsecure(s.imapListener.Addr().String(), nil)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Login(to, "any").Wait())
	_, err = c.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	require.NoError(t, err)
	section := &imap.FetchItemBodySection{Peek: true}
	got, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{
		Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{section},
	}).Collect()
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Less(t, time.Since(start), shownWithin)
	return got[0].FindBodySection(section)
}

// passThrough delivers a mail and looks at it in every way there is.
func (s *testServer) passThrough(t *testing.T, by mailCarrier, to string, raw []byte) (id string) {
	t.Helper()
	reply := s.carry(t, by, to, raw)
	m := s.await(t, to, "")
	require.Contains(t, reply, "queued as "+m.ID)
	require.Equal(t, string(by.want(raw)), string(s.look(t, "/api/v1/message/"+m.ID+"/raw")), "bytes in are bytes out")
	require.True(t, json.Valid(s.look(t, "/api/v1/message/"+m.ID)))
	require.True(t, json.Valid(s.look(t, "/api/v1/message/"+m.ID+"/headers")))
	require.Contains(t, string(s.look(t, "/mail/"+m.ID)), "</html>")
	require.Equal(t, string(by.want(raw)), string(s.fetchByIMAP(t, to, m.Folder)), "IMAP gives the same bytes")
	return m.ID
}

// throughTheSink passes every mail of some folders through the sink.
func throughTheSink(t *testing.T, dirs []string) {
	s := startServer(t, func(c *config) { c.IMAP = "127.0.0.1:0" })
	var ids []string
	for _, dir := range dirs {
		for _, path := range corpusFiles(t, dir) {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			name, err := filepath.Rel(dir, path)
			require.NoError(t, err)
			for _, by := range mailCarriers {
				t.Run(filepath.ToSlash(name)+" by "+by.name, func(t *testing.T) {
					ids = append(ids, s.passThrough(t, by, fmt.Sprintf("odd%d@fabrikam.example", len(ids)), raw))
				})
			}
		}
	}
	var listed struct{ Messages []struct{ ID string } }
	require.NoError(t, json.Unmarshal(s.look(t, fmt.Sprintf("/api/v1/messages?limit=%d", len(ids))), &listed))
	got := make([]string, 0, len(ids))
	for _, m := range listed.Messages {
		got = append(got, m.ID)
	}
	require.ElementsMatch(t, ids, got, "every mail is listed")
}

// TestOddMailOfOurs holds that any mail is taken, listed and shown, and that no
// byte of it is lost.
func TestOddMailOfOurs(t *testing.T) { throughTheSink(t, ownCorpora) }

// TestOddMailOfOthers holds the same for what other projects collected: the
// folders that INVITED_MAIL_CORPORA names, which .ci/run fetches.
func TestOddMailOfOthers(t *testing.T) {
	dirs := filepath.SplitList(os.Getenv("INVITED_MAIL_CORPORA"))
	if len(dirs) == 0 {
		if os.Getenv("CI_REQUIRE_ALL") != "" {
			t.Fatal("INVITED_MAIL_CORPORA names no folders of mail")
		}
		t.Skip("INVITED_MAIL_CORPORA names no folders of mail")
	}
	throughTheSink(t, dirs)
}
