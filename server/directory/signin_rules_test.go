package directory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/problem"
)

// TestSignInRules holds what the rule set, the order of providers and the
// fallback make of the same guest.
func TestSignInRules(t *testing.T) {
	const (
		current    = directory.RulesCurrent
		legacy     = directory.RulesLegacy
		home       = directory.ProviderHome
		federation = directory.ProviderFederation
	)
	blocks := &directory.HomeTenant{Domain: "fabrikam.example"}
	allows := &directory.HomeTenant{Domain: "fabrikam.example", AllowEmailVerifiedUsers: true}
	federated := &directory.HomeTenant{Domain: "fabrikam.example", AllowEmailVerifiedUsers: true, Federated: true}
	oidc := &directory.HomeTenant{Domain: "fabrikam.example", SignIn: directory.SignInOIDC}
	order := func(p ...directory.Provider) []directory.Provider { return p }
	tests := []struct {
		name   string
		facts  directory.SignInFacts
		method directory.Method
		reason problem.Reason
		jit    bool
	}{
		{"legacy: a home that blocks stops its guest", directory.SignInFacts{Rules: legacy, Home: blocks, Emulator: true}, "", problem.JITDisabled, false},
		{"legacy is the default", directory.SignInFacts{Home: blocks, Emulator: true}, "", problem.JITDisabled, false},
		{"legacy: a federated home stops its guest", directory.SignInFacts{Rules: legacy, Home: federated, Emulator: true}, "", problem.HomeFederated, false},
		{"legacy: a home that allows makes the account", directory.SignInFacts{Rules: legacy, Home: allows, Emulator: true}, directory.MethodHome, "", true},
		{"legacy: a home that allows makes none while mail goes out", directory.SignInFacts{Rules: legacy, Home: allows}, "", problem.NoSignIn, false},

		{"current: a missing account is no obstacle", directory.SignInFacts{Rules: current, Home: blocks, Emulator: true}, directory.MethodLink, "", false},
		{"current: a missing account at a federated home is none either", directory.SignInFacts{Rules: current, Home: federated, Fallback: directory.FallbackOTP}, directory.MethodOTP, "", false},
		{"current: accounts are not made just in time", directory.SignInFacts{Rules: current, Home: allows, Emulator: true, Fallback: directory.FallbackOTP}, directory.MethodOTP, "", false},
		{"current: no account and no fallback", directory.SignInFacts{Rules: current, Home: blocks, Fallback: directory.FallbackNone}, "", problem.NoSignIn, false},
		{"current: an account signs in at home", directory.SignInFacts{Rules: current, Home: blocks, Account: true, Emulator: true, Fallback: directory.FallbackOTP}, directory.MethodHome, "", false},
		{"current: an account at an OpenID home", directory.SignInFacts{Rules: current, Home: oidc, Account: true}, directory.MethodOIDC, "", false},
		{"current: an account at a simulated home while mail goes out", directory.SignInFacts{Rules: current, Home: blocks, Account: true}, "", problem.NoSignIn, false},

		{"a federation signs in before the fallback", directory.SignInFacts{Federation: true, Fallback: directory.FallbackOTP}, directory.MethodOIDC, "", false},
		{"home comes before a federation unless told otherwise", directory.SignInFacts{Federation: true, Home: blocks, Account: true, Emulator: true}, directory.MethodHome, "", false},
		{"a federation that comes first", directory.SignInFacts{Providers: order(federation, home), Federation: true, Home: blocks, Account: true, Emulator: true}, directory.MethodOIDC, "", false},
		{"a federation that comes first lets a guest past a home that blocks", directory.SignInFacts{Providers: order(federation, home), Federation: true, Home: blocks}, directory.MethodOIDC, "", false},
		{"current: a guest without account goes on to the federation", directory.SignInFacts{Rules: current, Federation: true, Home: blocks}, directory.MethodOIDC, "", false},
		{"a home that is not among the providers is not asked", directory.SignInFacts{Providers: order(federation), Home: blocks, Fallback: directory.FallbackOTP}, directory.MethodOTP, "", false},
		{"a federation that is not among the providers is not asked", directory.SignInFacts{Providers: order(home), Federation: true}, directory.MethodLink, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := directory.DecideSignIn(tt.facts)
			require.Equal(t, tt.method, d.Method)
			require.Equal(t, tt.reason, d.Reason)
			require.Equal(t, tt.jit, d.JustInTime)
			require.NotEmpty(t, directory.ExplainSignIn(tt.facts))
		})
	}
}

func TestPolicyChecksSignIn(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*directory.Policy)
		field string
	}{
		{"unknown rules", func(p *directory.Policy) { p.Rules = "modern" }, "rules"},
		{"unknown provider", func(p *directory.Policy) { p.Providers = []directory.Provider{"google"} }, "providers"},
		{"a provider twice", func(p *directory.Policy) { p.Providers = []directory.Provider{"home", "home"} }, "providers"},
		{"codes that live for seconds", func(p *directory.Policy) { p.CodeLifetime = time.Second }, "codeLifetime"},
		{"codes that live for an hour", func(p *directory.Policy) { p.CodeLifetime = time.Hour }, "codeLifetime"},
		{"nothing said", func(p *directory.Policy) { p.Rules, p.Providers, p.CodeLifetime = "", nil, 0 }, ""},
		{"everything said", func(p *directory.Policy) {
			p.Rules, p.Providers, p.CodeLifetime = "current", []directory.Provider{"federation", "home"}, 30*time.Minute
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := directory.DefaultPolicy("t")
			tt.spoil(&p)
			got, err := p.Check()
			if tt.field != "" {
				require.Equal(t, tt.field, problem.Of(err).Field)
				return
			}
			require.NoError(t, err)
			require.NotEmpty(t, got.Rules)
			require.NotZero(t, got.CodeLifetime)
		})
	}
}
