package directory

import (
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
	Address  mail.Address
	Home     *HomeTenant // nil: nothing is known of the address's domain
	Account  bool        // the home organisation has an account for the address
	Fallback Fallback    // of the policy; empty means FallbackLink
	Emulator bool        // mail goes to the built-in sink, so sign-in may be simulated
}

// Decision is who signs a guest in, or why nobody can.
type Decision struct {
	Method     Method         // empty if refused
	Reason     problem.Reason // set if refused
	Home       *HomeTenant    // the home organisation that decided; nil if none did
	JustInTime bool           // the account at home is created by this sign-in
}

// Refused reports whether nobody can sign the guest in.
func (d Decision) Refused() bool { return d.Reason != problem.NoReason }

// A signInRow is one line of the sign-in table. An empty condition matches
// everything.
type signInRow struct {
	name string
	when func(SignInFacts) bool
	then Decision
	jit  bool
}

// signInTable decides from top to bottom; the first row that matches counts.
// The three rows on missing accounts are the rules that held before unmanaged
// accounts were abolished: a home organisation says whether an account may be
// made just in time (AllowEmailVerifiedUsers).
var signInTable = []signInRow{
	{"account missing, home does not allow just-in-time accounts",
		func(f SignInFacts) bool { return f.Home != nil && !f.Account && !f.Home.AllowEmailVerifiedUsers },
		Decision{Reason: problem.JITDisabled}, false},
	{"account missing, home is federated",
		func(f SignInFacts) bool { return f.Home != nil && !f.Account && f.Home.Federated },
		Decision{Reason: problem.HomeFederated}, false},
	{"home signs in by OpenID Connect",
		func(f SignInFacts) bool { return f.Home != nil && f.Home.SignIn == SignInOIDC },
		Decision{Method: MethodOIDC}, true},
	{"home is simulated, mail goes to the sink",
		func(f SignInFacts) bool { return f.Home != nil && f.Emulator },
		Decision{Method: MethodHome}, true},
	{"home is simulated, mail goes out into the world",
		func(f SignInFacts) bool { return f.Home != nil },
		Decision{Reason: problem.NoSignIn}, false},
	{"no home, a code is mailed",
		func(f SignInFacts) bool { return f.Fallback == FallbackOTP },
		Decision{Method: MethodOTP}, false},
	{"no home, no fallback",
		func(f SignInFacts) bool { return f.Fallback == FallbackNone },
		Decision{Reason: problem.NoSignIn}, false},
	{"no home, the link is enough",
		func(SignInFacts) bool { return true },
		Decision{Method: MethodLink}, false},
}

// DecideSignIn says who signs a guest in.
func DecideSignIn(f SignInFacts) Decision {
	for _, row := range signInTable {
		if !row.when(f) {
			continue
		}
		d := row.then
		d.Home = f.Home
		d.JustInTime = row.jit && !f.Account
		return d
	}
	return Decision{Reason: problem.NoSignIn} // not reached: the last row matches everything
}
