package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
)

func TestRedeemingByCode(t *testing.T) {
	tests := []struct {
		name, body, says string
		status           int
		called           []string
	}{
		{"a right code", `{"ticket":"good","accept":true,"code":"01234567","session":"s"}`, `"state":"accepted"`, 200, []string{"try s 01234567 127.0.0.1", "accept otp"}},
		{"a wrong code", `{"ticket":"good","accept":true,"code":"00000000","session":"s"}`, `"reason":"code_wrong"`, 403, []string{"try s 00000000 127.0.0.1"}},
		{"no code", `{"ticket":"good","accept":true}`, "/redemptions/codes", 409, nil},
		{"no session", `{"ticket":"good","accept":true,"code":"01234567"}`, "/redemptions/codes", 409, nil},
		{"declining takes no code", `{"ticket":"good","accept":false}`, `"state":"declined"`, 200, []string{"decline"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.signIn = directory.Decision{Method: directory.MethodOTP}
			w := f.call("POST", "/redemptions", tt.body, "Authorization", "")
			require.Equal(t, tt.status, w.Code, w.Body)
			require.Contains(t, w.Body.String(), tt.says)
			require.Equal(t, tt.called, f.called)
		})
	}
}

func TestFailedLinksCountHere(t *testing.T) {
	f := newFake()
	require.Equal(t, 410, f.call("GET", "/redemptions?ticket=bad", "").Code)
	require.Equal(t, 410, f.call("POST", "/redemptions/codes", `{"ticket":"bad"}`).Code)
	require.Equal(t, []string{"127.0.0.1", "127.0.0.1"}, f.failed)
}
