package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/dsn"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
)

func (f *fake) ReceiveOwnBounce(_ context.Context, _ directory.Actor, to string, raw []byte) (invite.Bounce, error) {
	f.called = append(f.called, "bounce "+to)
	if !strings.HasPrefix(to, "bounce+known@") {
		return invite.Bounce{}, nil
	}
	return invite.Bounce{
		Known: true, Delivery: "d1", State: mail.Bounced, Suppressed: true,
		Report: dsn.Report{Kind: dsn.Permanent, Status: "5.1.1", Diagnostic: string(raw)},
	}, nil
}

func (f *fake) Suppressions(_ context.Context, _ directory.Actor, after string, limit int) ([]invite.Suppression, error) {
	var out []invite.Suppression
	for _, local := range []string{"ana", "ben"} {
		a := mail.Address{Local: local, Domain: "fabrikam.example"}
		if a.LimitKey() > after && len(out) < limit {
			out = append(out, invite.Suppression{Key: a.LimitKey(), Address: a, Cause: invite.CauseBounce, Detail: "550 unknown", Delivery: "d1", Created: t0, Expires: t0.Add(time.Hour)})
		}
	}
	return out, nil
}

func (f *fake) Suppress(_ context.Context, _ directory.Actor, email, detail string, lifetime time.Duration) (invite.Suppression, error) {
	a, err := mail.ParseAddress(email)
	if err != nil || lifetime < 0 {
		return invite.Suppression{}, problem.BadField("fake", "expires", "Invalid value.")
	}
	return invite.Suppression{Address: a, Cause: invite.CauseManual, Detail: detail, Created: t0}, nil
}

func (f *fake) Lift(_ context.Context, _ directory.Actor, email string) error {
	f.called = append(f.called, "lift "+email)
	return nil
}

func TestSuppressionsOverHTTP(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"a page", "GET", "/suppressions?$top=1", "", 200, "nextLink"},
		{"everything", "GET", "/suppressions", "", 200, `"address":"ben@fabrikam.example"`},
		{"one more", "POST", "/suppressions", `{"address":"cyd@fabrikam.example","detail":"asked on the phone"}`, 201, `"expires":null`},
		{"one that has ended", "POST", "/suppressions", `{"address":"cyd@fabrikam.example","expires":"2001-01-01T00:00:00Z"}`, 400, "expires"},
		{"a member nobody knows", "POST", "/suppressions", `{"mailbox":"cyd@fabrikam.example"}`, 400, "mailbox"},
		{"lifting", "DELETE", "/suppressions/ana@fabrikam.example", "", 204, ""},
		{"a bounce that is no message", "POST", "/bounces?to=bounce%2Bknown@contoso.example", `{}`, 400, "message/rfc822"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newFake().call(tt.method, tt.path, tt.body)
			require.Equal(t, tt.status, w.Code, w.Body.String())
			require.Contains(t, strings.ReplaceAll(w.Body.String(), ": ", ":"), tt.says)
		})
	}
}

func TestBouncesOverHTTP(t *testing.T) {
	post := func(to string, body string) *httptest.ResponseRecorder {
		return newFake().call(http.MethodPost, "/bounces?to="+to, body, "Content-Type", "message/rfc822")
	}
	require.Contains(t, post("bounce%2Bknown@contoso.example", "550 unknown").Body.String(), `"bounced"`)
	require.Contains(t, post("bounce%2Bother@contoso.example", "550 unknown").Body.String(), `"known":false`)
	require.Equal(t, 400, post("bounce%2Bknown@contoso.example", strings.Repeat("x", maxBounce+1)).Code)
}
