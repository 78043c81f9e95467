package doctor_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/doctor"
)

func TestMailRelays(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		ok         bool
		says       string
	}{
		{name: "all is well", status: 200, body: `{"value":[],"alarms":[]}`, ok: true, says: "no relay refuses"},
		{name: "some mail failed, which is no fault of the server", status: 200, body: `{"value":[{"id":"1"}],"alarms":[]}`, ok: true, says: "outbox list --state failed"},
		{name: "a relay refuses our credentials", status: 200, body: `{"value":[],"alarms":[{"relay":"relay:587","code":535,"text":"Who are you"}]}`, says: "relay:587 refuses this server: 535 Who are you"},
		{name: "the token is of another server", status: 401, body: `{}`, says: "401"},
		{name: "it is another program", status: 200, body: `<html>`, says: "answers 200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/readyz" {
					return
				}
				require.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer s.Close()
			r := result(t, doctor.Examine(t.Context(), doctor.Target{Data: t.TempDir(), Server: s.URL, Token: "secret"}), "mail relays")
			require.Equal(t, tt.ok, r.OK, r)
			require.Contains(t, r.Detail, tt.says)
			require.Equal(t, tt.ok, r.Remedy == "")
			require.NotContains(t, r.Detail+r.Remedy, "secret")
		})
	}
}
