package sink_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/rules"
)

func TestForcedRulesLastAndDecide(t *testing.T) {
	dir := t.TempDir()
	f, err := sink.OpenForced(dir)
	require.NoError(t, err)
	require.Empty(t, f.Rules())
	require.NoError(t, f.Replace([]rules.Force{{To: "*@fabrikam.example", Folder: "junk", Reason: "the partner quarantines all"}}))

	f, err = sink.OpenForced(dir)
	require.NoError(t, err)
	require.Equal(t, []rules.Force{{To: "*@fabrikam.example", Folder: "Junk", Reason: "the partner quarantines all"}}, f.Rules())
	raw := []byte("Subject: x\r\n\r\nx\r\n")
	v := f.Judge(sink.Envelope{}, "ana@fabrikam.example", raw)
	require.True(t, v.Junk())
	require.Equal(t, "the partner quarantines all", v.Forced)
	require.Empty(t, f.Judge(sink.Envelope{}, "ana@contoso.example", raw).Forced)
}

func TestForcedNamesTheRuleAtFault(t *testing.T) {
	f, err := sink.OpenForced("")
	require.NoError(t, err)
	good := rules.Force{Folder: "Inbox"}
	require.NoError(t, f.Replace([]rules.Force{good}))
	for want, r := range map[string]rules.Force{
		"neither Inbox nor Junk": {Folder: "Spam"},
		"to is longer":           {Folder: "Junk", To: strings.Repeat("x", 501)},
		"reason holds control":   {Folder: "Junk", Reason: "a\nb"},
	} {
		require.ErrorContains(t, f.Replace([]rules.Force{good, r}), "rule 2: ")
		require.ErrorContains(t, f.Replace([]rules.Force{good, r}), want)
	}
	require.ErrorContains(t, f.Replace(make([]rules.Force, 1001)), "1001 rules")
	require.Equal(t, []rules.Force{good}, f.Rules(), "nothing has changed")
}

func TestForcedSaysWhatItCannotKeep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.json")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	_, err := sink.OpenForced(dir)
	require.ErrorContains(t, err, path)

	f, err := sink.OpenForced(filepath.Join(dir, "missing"))
	require.NoError(t, err)
	var kept *sink.StorageError
	require.ErrorAs(t, f.Replace(nil), &kept)
}

func TestTranscript(t *testing.T) {
	s, err := sink.Open(sink.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	id, err := s.Receive(t.Context(), sink.Envelope{To: []string{"a@b.example"}, Transcript: "S: 250 queued as " + sink.TranscriptID + "\n"}, []byte("x"))
	require.NoError(t, err)
	text, err := s.Transcript(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "S: 250 queued as "+id+"\n", text)
	c, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, c.Envelope.Transcript, "lists do not carry it")
	_, err = s.Transcript(t.Context(), strings.Repeat("0", 24))
	require.ErrorIs(t, err, sink.ErrNotFound)
}
