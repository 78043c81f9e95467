package directory

import (
	"slices"

	"invited/mail"
	"invited/server/problem"
)

// Method is a way a guest proves who they are.
type Method string

// The methods.
const (
	MethodHome Method = "home" // at their organisation, simulated by a one-click page
	MethodOIDC Method = "oidc" // at their organisation's OpenID provider
	MethodLink Method = "link" // by holding the link that was mailed to them
	MethodOTP  Method = "otp"  // by a code mailed to the invited address
)

// SignInFacts is what [DecideSignIn] looks at.
type SignInFacts struct {
	Address    mail.Address
	Home       *HomeTenant // nil: nothing is known of the address's domain
	Account    bool        // the home organisation has an account for the address
	Federation bool        // an OpenID provider is set up for the address's domain
	Rules      Rules       // of the policy; empty means RulesLegacy
	Providers  []Provider  // of the policy; empty means DefaultProviders
	Fallback   Fallback    // of the policy; empty means FallbackLink
	Emulator   bool        // mail goes to the built-in sink, so sign-in may be simulated
}

// Decision is who signs a guest in, or why nobody can.
type Decision struct {
	Method     Method         // empty if refused
	Reason     problem.Reason // set if refused
	Provider   Provider       // who was asked; empty if the fallback decided
	Home       *HomeTenant    // the home organisation of the address; nil if none is known
	JustInTime bool           // the account at home is created by this sign-in
}

// Refused reports whether nobody can sign the guest in.
func (d Decision) Refused() bool { return d.Reason != problem.NoReason }

// A signInRow is one line of the sign-in table.
type signInRow struct {
	name     string
	provider Provider // asked when it is this one's turn; empty: the fallback
	rules    Rules    // the rule set it belongs to; empty: both
	when     func(SignInFacts) bool
	method   Method         // who signs in, or
	reason   problem.Reason // why nobody does
	jit      bool           // a missing account is made on the way
}

// signInTable decides from top to bottom: the rows of each provider in the
// policy's order, then those of the fallback. The first row that matches
// counts. A home organisation that is known and cannot sign a guest in is no
// way round to a weaker proof.
var signInTable = []signInRow{
	{"account missing, home does not allow just-in-time accounts", ProviderHome, RulesLegacy,
		func(f SignInFacts) bool { return f.Home != nil && !f.Account && !f.Home.AllowEmailVerifiedUsers }, "", problem.JITDisabled, false},
	{"account missing, home is federated", ProviderHome, RulesLegacy,
		func(f SignInFacts) bool { return f.Home != nil && !f.Account && f.Home.Federated }, "", problem.HomeFederated, false},
	{"account missing, home allows just-in-time accounts and signs in by OpenID Connect", ProviderHome, RulesLegacy,
		func(f SignInFacts) bool { return f.Home != nil && !f.Account && f.Home.SignIn == SignInOIDC }, MethodOIDC, "", true},
	{"account missing, home allows just-in-time accounts", ProviderHome, RulesLegacy,
		func(f SignInFacts) bool { return f.Home != nil && !f.Account && f.Emulator }, MethodHome, "", true},
	{"account missing, home is simulated while mail goes out into the world", ProviderHome, RulesLegacy,
		func(f SignInFacts) bool { return f.Home != nil && !f.Account }, "", problem.NoSignIn, false},
	{"home has the account and signs in by OpenID Connect", ProviderHome, "",
		func(f SignInFacts) bool { return f.Home != nil && f.Account && f.Home.SignIn == SignInOIDC }, MethodOIDC, "", false},
	{"home has the account", ProviderHome, "",
		func(f SignInFacts) bool { return f.Home != nil && f.Account && f.Emulator }, MethodHome, "", false},
	{"home has the account and is simulated while mail goes out into the world", ProviderHome, "",
		func(f SignInFacts) bool { return f.Home != nil && f.Account }, "", problem.NoSignIn, false},

	{"an OpenID provider is set up for the domain", ProviderFederation, "",
		func(f SignInFacts) bool { return f.Federation }, MethodOIDC, "", false},

	{"nobody else signs in, a code is mailed", "", "",
		func(f SignInFacts) bool { return f.Fallback == FallbackOTP }, MethodOTP, "", false},
	{"nobody else signs in, and there is no fallback", "", "",
		func(f SignInFacts) bool { return f.Fallback == FallbackNone }, "", problem.NoSignIn, false},
	{"nobody else signs in, the link is enough", "", "",
		func(SignInFacts) bool { return true }, MethodLink, "", false},
}

// DecideSignIn says who signs a guest in.
func DecideSignIn(f SignInFacts) Decision {
	row := f.row()
	return Decision{Method: row.method, Reason: row.reason, Provider: row.provider, Home: f.Home, JustInTime: row.jit}
}

// ExplainSignIn returns the rule by which [DecideSignIn] decides, in words.
func ExplainSignIn(f SignInFacts) string { return f.row().name }

// row returns the row that decides.
func (f SignInFacts) row() signInRow {
	if f.Rules == "" {
		f.Rules = RulesLegacy
	}
	order := f.Providers
	if len(order) == 0 {
		order = DefaultProviders
	}
	for _, p := range append(slices.Clone(order), "") {
		for _, row := range signInTable {
			if row.provider == p && (row.rules == "" || row.rules == f.Rules) && row.when(f) {
				return row
			}
		}
	}
	return signInTable[len(signInTable)-1] // not reached: it matches everything
}
