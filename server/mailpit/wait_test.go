package mailpit_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/mail/sink/rules"
)

func TestFoldersAndVerdicts(t *testing.T) {
	f := open(t)
	both := f.receive(plain("a@contoso.example", "b@fabrikam.example", "both"), "b@fabrikam.example", "junk@fabrikam.example")
	type box struct {
		Address     string
		Inbox, Junk int
		Unread      int
	}
	var folders struct {
		Folders []box
		Next    string
	}
	f.get("/api/v1/folders", &folders)
	require.Len(t, folders.Folders, 2)
	require.Equal(t, box{Address: "b@fabrikam.example", Inbox: 1, Unread: 1}, folders.Folders[0])
	require.Equal(t, box{Address: "junk@fabrikam.example", Junk: 1, Unread: 1}, folders.Folders[1])
	f.get("/api/v1/folders?limit=1", &folders)
	require.Equal(t, "b@fabrikam.example", folders.Next)
	f.get("/api/v1/folders?limit=1&after="+folders.Next, &folders)
	require.Equal(t, "junk@fabrikam.example", folders.Folders[0].Address)

	type verdict struct {
		Recipients []struct {
			Address, Folder string
			Verdict         rules.Verdict
		}
	}
	var v verdict
	f.get("/api/v1/message/"+both+"/verdict", &v)
	require.Len(t, v.Recipients, 2)
	v = verdict{}
	f.get("/api/v1/message/"+both+"/verdict?recipient=JUNK@fabrikam.example", &v)
	require.Len(t, v.Recipients, 1)
	require.Equal(t, "Junk", v.Recipients[0].Folder)
	require.Equal(t, "TEST", v.Recipients[0].Verdict.Hits[0].Rule)

	moved := func() string {
		var v verdict
		f.get("/api/v1/message/"+both+"/verdict", &v)
		return v.Recipients[0].Folder + " " + v.Recipients[1].Folder
	}
	require.Equal(t, "Inbox Junk", moved())
	for _, step := range []struct{ body, want string }{
		{`{"folder":"Inbox","recipient":"junk@fabrikam.example"}`, "Inbox Inbox"},
		{`{"Folder":"junk"}`, "Junk Junk"},
		{`{"folder":"Inbox","recipient":"b@fabrikam.example"}`, "Inbox Junk"},
	} {
		status, body, _ := f.do("PUT", "/api/v1/message/"+both+"/folder", step.body)
		require.Equal(t, 200, status, body)
		require.Equal(t, step.want, moved())
	}
}

// waited is what wait answers.
type waited struct {
	ID, Subject, Folder, RedeemURL string
	Verdict                        rules.Verdict
	Links                          []struct{ URL, Text string }
}

func TestWaitFindsWhatIsThere(t *testing.T) {
	f := open(t)
	zero := f.receive(plain("a@contoso.example", "z@fabrikam.example", "zero"), "z@fabrikam.example")
	first := f.receive(rich, "ana@fabrikam.example", "junk@fabrikam.example")
	second := f.receive(plain("Bo <bo@contoso.example>", "ana@fabrikam.example", "the second reminder"), "ana@fabrikam.example")
	tests := []struct {
		name, query, id, folder string
	}{
		{"the newest of those that are there", "to=ana@fabrikam.example", second, "Inbox"},
		{"in any case", "to=ANA@Fabrikam.example", second, "Inbox"},
		{"the oldest after another", "after=" + zero, first, "Inbox"},
		{"newer than the first", "to=ana@fabrikam.example&after=" + first, second, "Inbox"},
		{"by subject", "subject=second%20reminder", second, "Inbox"},
		{"by sender", "from=bo@contoso.example", second, "Inbox"},
		{"by both", "from=bo@contoso.example&subject=reminder&to=ana@fabrikam.example", second, "Inbox"},
		{"by query", "query=subject:reminder", second, "Inbox"},
		{"in Junk", "folder=Junk&to=junk@fabrikam.example", first, "Junk"},
		{"seen from the mailbox asked for", "to=junk@fabrikam.example", first, "Junk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m waited
			f.get("/api/v1/wait?timeout=10s&"+tt.query, &m)
			require.Equal(t, tt.id, m.ID)
			require.Equal(t, tt.folder, m.Folder)
		})
	}
	var m waited
	f.get("/api/v1/wait?to=junk@fabrikam.example", &m)
	require.Equal(t, "https://invite.contoso.example/redeem?tenant=t&ticket=eyJ.e.s", m.RedeemURL)
	require.Len(t, m.Links, 3)
	require.Equal(t, "TEST", m.Verdict.Hits[0].Rule)
}

func TestWaitAnswersAsSoonAsItComes(t *testing.T) {
	f := open(t)
	old := f.receive(plain("a@contoso.example", "b@fabrikam.example", "old"), "b@fabrikam.example")
	answer := make(chan waited)
	go func() {
		var m waited
		defer func() { answer <- m }()
		req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, f.url+"/api/v1/wait?to=b@fabrikam.example&timeout=60s&after="+old, nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		_ = json.NewDecoder(resp.Body).Decode(&m)
	}()
	f.receive(plain("a@contoso.example", "c@fabrikam.example", "for somebody else"), "c@fabrikam.example")
	f.receive(plain("a@contoso.example", "b@fabrikam.example", "new"), "b@fabrikam.example")
	require.Equal(t, "new", (<-answer).Subject)
}

func TestWaitTimesOut(t *testing.T) {
	f := open(t)
	f.receive(plain("a@contoso.example", "b@fabrikam.example", "one"), "b@fabrikam.example")
	for _, timeout := range []string{"20ms", "0", "0.02", "0s"} {
		status, body, _ := f.do("GET", "/api/v1/wait?to=c@fabrikam.example&timeout="+timeout, "")
		require.Equal(t, http.StatusNoContent, status, timeout)
		require.Empty(t, body)
	}
}
