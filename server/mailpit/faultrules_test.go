package mailpit_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink"
	"invited/mail/sink/faults"
	"invited/server/mailpit"
)

func TestFaultRules(t *testing.T) {
	set := &faults.Set{}
	f := openWith(t, func(h *mailpit.Handler) { h.FaultRules, h.Faults = set, set })
	status, answer, _ := f.do("GET", "/api/v1/faults", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"faults":[]}`, answer)

	const list = `{"faults":[
		{"stage":"rcpt","to":"*@grey.example","code":450,"first":2},
		{"stage":"data","delay":"1.5s"},
		{"stage":"mail","code":421,"text":"slow down","rate":10,"per":"1m0s"}]}`
	status, answer, _ = f.do("PUT", "/api/v1/faults", list)
	require.Equal(t, 200, status, answer)
	require.JSONEq(t, list, answer)
	_, met := set.Check(faults.Rcpt, "a@b.example", "c@grey.example")
	require.True(t, met)

	status, answer, _ = f.do("PUT", "/api/v1/faults", `{"faults":[]}`)
	require.Equal(t, 200, status, answer)
	require.Empty(t, set.Rules())
}

func TestFaultRulesAreRefused(t *testing.T) {
	set, err := faults.New([]faults.Rule{{Stage: faults.Rcpt, Code: 550}})
	require.NoError(t, err)
	f := openWith(t, func(h *mailpit.Handler) { h.FaultRules = set })
	for body, want := range map[string]string{
		``:                              `The request body must be {"faults": [...]}`,
		`{}`:                            `The request body must be {"faults": [...]}`,
		`[]`:                            "must be one JSON object",
		`{"faults":[{"stage":"helo"}]}`: `Rule 1: stage "helo" is none of auth, mail, rcpt, data; nothing was changed.`,
		`{"faults":[{"stage":"rcpt","delay":"soon"}]}`: "delay must be a duration",
		`{"faults":[{"stage":"rcpt","kode":450}]}`:     "nothing was changed",
	} {
		status, answer, _ := f.do("PUT", "/api/v1/faults", body)
		require.Equal(t, 400, status, body)
		require.Contains(t, answer, want)
		require.Len(t, set.Rules(), 1)
	}
}

// TestChaosIsAShareOfFaults holds that Mailpit's chaos drives the real faults.
func TestChaosIsAShareOfFaults(t *testing.T) {
	set := &faults.Set{}
	f := openWith(t, func(h *mailpit.Handler) { h.Faults = set })
	status, answer, _ := f.do("PUT", "/api/v1/chaos", `{"Sender":{"ErrorCode":421,"Probability":100},"Authentication":{"ErrorCode":535,"Probability":50}}`)
	require.Equal(t, 200, status, answer)
	fault, met := set.Check(faults.Mail, "a@b.example", "")
	require.True(t, met)
	require.Equal(t, 421, fault.Code)
	_, met = set.Check(faults.Auth, "", "")
	require.False(t, met, "of every two, the second fails")
	_, met = set.Check(faults.Auth, "", "")
	require.True(t, met)
	status, _, _ = f.do("PUT", "/api/v1/chaos", `{}`)
	require.Equal(t, 200, status)
	_, met = set.Check(faults.Mail, "a@b.example", "")
	require.False(t, met)
}

func TestFolderRules(t *testing.T) {
	dir := t.TempDir()
	list, err := sink.OpenForced(dir)
	require.NoError(t, err)
	f := openWith(t, func(h *mailpit.Handler) { h.FolderRules = list })
	status, answer, _ := f.do("GET", "/api/v1/rules", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"rules":[]}`, answer)
	status, answer, _ = f.do("PUT", "/api/v1/rules", `{"rules":[{"to":"*@fabrikam.example","folder":"junk","reason":"it always does"}]}`)
	require.Equal(t, 200, status, answer)
	require.JSONEq(t, `{"rules":[{"to":"*@fabrikam.example","folder":"Junk","reason":"it always does"}]}`, answer)
	again, err := sink.OpenForced(dir)
	require.NoError(t, err)
	require.Len(t, again.Rules(), 1, "they last")
	for body, want := range map[string]string{
		`{}`:                             `The request body must be {"rules": [...]}`,
		`{"rules":[{"folder":"Trash"}]}`: `Rule 1: folder "Trash" is neither Inbox nor Junk; nothing was changed.`,
	} {
		status, answer, _ = f.do("PUT", "/api/v1/rules", body)
		require.Equal(t, 400, status)
		require.Contains(t, answer, want)
	}
}

func TestFolderRulesThatCannotBeStored(t *testing.T) {
	list, err := sink.OpenForced(filepath.Join(t.TempDir(), "missing"))
	require.NoError(t, err)
	f := openWith(t, func(h *mailpit.Handler) { h.FolderRules = list })
	status, answer, _ := f.do("PUT", "/api/v1/rules", `{"rules":[]}`)
	require.Equal(t, 500, status)
	require.Contains(t, answer, "could not be stored")
}

func TestRulesThatAreNotEnabled(t *testing.T) {
	f := open(t)
	for _, path := range []string{"/api/v1/faults", "/api/v1/rules"} {
		for _, method := range []string{"GET", "PUT"} {
			status, answer, _ := f.do(method, path, "")
			require.Equal(t, 400, status)
			require.Contains(t, answer, "not enabled here")
		}
	}
}

func TestTranscript(t *testing.T) {
	f := open(t)
	id, err := f.sink.Receive(t.Context(), sink.Envelope{To: []string{"a@b.example"}, Transcript: "S: 250 queued as " + sink.TranscriptID + "\n"}, []byte("x"))
	require.NoError(t, err)
	status, answer, header := f.do("GET", "/api/v1/message/latest/transcript", "")
	require.Equal(t, 200, status)
	require.Equal(t, "S: 250 queued as "+id+"\n", answer)
	require.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
	quiet := f.receive(plain("a@x.example", "b@y.example", "s"), "b@y.example")
	status, _, _ = f.do("GET", "/api/v1/message/"+quiet+"/transcript", "")
	require.Equal(t, 404, status)
	status, _, _ = f.do("GET", "/api/v1/message/000000000000000000000000/transcript", "")
	require.Equal(t, 404, status)
}
