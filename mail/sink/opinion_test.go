package sink_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/rules"
)

func TestOpinionsLast(t *testing.T) {
	dir := t.TempDir()
	s, err := sink.Open(sink.Options{Dir: dir, Judge: sink.JudgeByRules})
	require.NoError(t, err)
	id, err := s.Receive(t.Context(), sink.Envelope{From: "a@b.example", Received: time.Date(2024, 11, 21, 10, 0, 30, 0, time.UTC), To: []string{"c@d.example", "e@d.example"}}, []byte(plainMail))
	require.NoError(t, err)
	spamd := rules.Engine{Name: "spamd", Score: 7, Limit: 5, Action: "spam", Folder: "Junk", Symbols: []rules.Symbol{{Name: "MISSING_DATE", Score: 2.7}}}
	require.NoError(t, s.AddOpinion(t.Context(), id, rules.Engine{Name: "rspamd", Error: "it did not answer"}))
	require.NoError(t, s.AddOpinion(t.Context(), id, rules.Engine{Name: "spamd", Error: "busy"}))
	require.NoError(t, s.AddOpinion(t.Context(), id, spamd))
	require.ErrorIs(t, s.AddOpinion(t.Context(), "000000000000000000000000", spamd), sink.ErrNotFound)
	require.NoError(t, s.Close())

	s, err = sink.Open(sink.Options{Dir: dir})
	require.NoError(t, err)
	defer s.Close()
	c, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, c.Recipients, 2)
	for _, r := range c.Recipients {
		require.Equal(t, sink.Inbox, r.Folder, "an opinion moves nothing")
		require.Len(t, r.Verdict.Engines, 2)
		require.Equal(t, "it did not answer", r.Verdict.Engines[0].Error)
		require.Equal(t, spamd, r.Verdict.Engines[1])
		require.NotEmpty(t, r.Verdict.Hits)
	}
	require.NoError(t, s.Delete(t.Context(), []string{id}))
	require.ErrorIs(t, s.AddOpinion(t.Context(), id, spamd), sink.ErrNotFound)
}
