package directory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/problem"
)

func TestDecideSignIn(t *testing.T) {
	home := func(allow, federated bool, how directory.SignIn) *directory.HomeTenant {
		return &directory.HomeTenant{Domain: "fabrikam.example", AllowEmailVerifiedUsers: allow, Federated: federated, SignIn: how}
	}
	const simulated, oidc = directory.SignInSimulated, directory.SignInOIDC
	tests := []struct {
		name   string
		facts  directory.SignInFacts
		method directory.Method
		reason problem.Reason
		jit    bool
	}{
		{"account at a simulated home", directory.SignInFacts{Home: home(false, false, simulated), Account: true, Emulator: true}, directory.MethodHome, "", false},
		{"account at a home that says nothing of sign-in", directory.SignInFacts{Home: home(false, false, ""), Account: true, Emulator: true}, directory.MethodHome, "", false},
		{"account at a federated home", directory.SignInFacts{Home: home(false, true, simulated), Account: true, Emulator: true}, directory.MethodHome, "", false},
		{"account at an OpenID home", directory.SignInFacts{Home: home(false, false, oidc), Account: true}, directory.MethodOIDC, "", false},
		{"account at an OpenID home, in the emulator", directory.SignInFacts{Home: home(false, false, oidc), Account: true, Emulator: true}, directory.MethodOIDC, "", false},
		{"simulated home while mail goes out", directory.SignInFacts{Home: home(true, false, simulated), Account: true}, "", problem.NoSignIn, false},
		{"simulated home while mail goes out is no way round to the link", directory.SignInFacts{Home: home(true, false, simulated), Account: true, Fallback: directory.FallbackLink}, "", problem.NoSignIn, false},
		{"no account, home blocks", directory.SignInFacts{Home: home(false, false, simulated), Emulator: true}, "", problem.JITDisabled, false},
		{"no account, OpenID home blocks", directory.SignInFacts{Home: home(false, false, oidc)}, "", problem.JITDisabled, false},
		{"no account, federated home blocks", directory.SignInFacts{Home: home(false, true, simulated), Emulator: true}, "", problem.JITDisabled, false},
		{"no account, federated home allows", directory.SignInFacts{Home: home(true, true, simulated), Emulator: true}, "", problem.HomeFederated, false},
		{"no account, home allows", directory.SignInFacts{Home: home(true, false, simulated), Emulator: true}, directory.MethodHome, "", true},
		{"no account, OpenID home allows", directory.SignInFacts{Home: home(true, false, oidc)}, directory.MethodOIDC, "", true},
		{"unknown domain, nothing configured", directory.SignInFacts{}, directory.MethodLink, "", false},
		{"unknown domain, link", directory.SignInFacts{Fallback: directory.FallbackLink}, directory.MethodLink, "", false},
		{"unknown domain, code", directory.SignInFacts{Fallback: directory.FallbackOTP}, directory.MethodOTP, "", false},
		{"unknown domain, nobody", directory.SignInFacts{Fallback: directory.FallbackNone}, "", problem.NoSignIn, false},
		{"a known home outranks the fallback", directory.SignInFacts{Home: home(false, false, simulated), Fallback: directory.FallbackLink, Emulator: true}, "", problem.JITDisabled, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := directory.DecideSignIn(tt.facts)
			require.Equal(t, tt.method, d.Method)
			require.Equal(t, tt.reason, d.Reason)
			require.Equal(t, tt.jit, d.JustInTime)
			require.Equal(t, tt.facts.Home, d.Home)
			require.Equal(t, tt.reason != "", d.Refused())
		})
	}
}
