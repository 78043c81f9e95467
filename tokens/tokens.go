// Package tokens issues and verifies what this server signs: the tickets in
// invitation links, and the access tokens of its API. It also keeps the keys.
//
// It knows nothing about invitations beyond the [Claims] it signs, and nothing
// about HTTP or mail. Whether a ticket may still be redeemed is not decided
// here: a valid signature proves only that we wrote the link, the row it names
// decides the rest. A ticket's identity is its JTI, never its text or a hash of
// it.
//
//	Issuer.Issue ──▶ "eyJ…" ──mail──▶ guest ──click──▶ Issuer.Verify
//	      └── the active key signs ─────────── every key of the ring verifies ──┘
//
// # What Verify accepts
//
// The policy is RFC 8725's, stricter where we are the only issuer:
//
//   - at most 2 KiB (access tokens 8 KiB), three non-empty base64url segments,
//     no padding, no line breaks, no spare bits: one ticket has one spelling;
//   - the header members alg, kid and typ, each once and a string, and no
//     other: jku, x5u, x5c, jwk and crit are refused, not ignored;
//   - the typ of the purpose, so that an access token is never a ticket;
//   - a kid that is in the ring in memory, with the alg that key was made for;
//   - a good signature; for ES256 only its low-s form;
//   - claim names in lower case, each once; every required claim present and
//     of its type; iss and aud ours, iat and nbf not in the future.
//
// Expiry is looked at last, after everything else holds. So [ErrExpired] means
// "ours, and too old", and comes with the claims; every other failure is
// [ErrInvalid] and comes with none. No error text contains any of the token.
package tokens

import (
	"errors"
	"fmt"
	"time"
)

// DefaultLeeway is the clock skew allowed both ways.
const DefaultLeeway = 60 * time.Second

// Errors of Verify. All but [ErrExpired] are ErrInvalid; what tells them apart
// is for logs and tests, never for the person who holds the token.
var (
	ErrInvalid    = errors.New("tokens: invalid token")
	ErrMalformed  = fmt.Errorf("%w: malformed", ErrInvalid)
	ErrUnknownKey = fmt.Errorf("%w: unknown key", ErrInvalid)
	ErrSignature  = fmt.Errorf("%w: bad signature", ErrInvalid)
	ErrClaims     = fmt.Errorf("%w: unacceptable claims", ErrInvalid)

	ErrExpired = errors.New("tokens: expired token")
)

// Options configures an [Issuer] or an [AccessIssuer].
type Options struct {
	Name   string           // required; the "iss" claim, a URL
	Keys   *Keyring         // required; the active key signs, all verify
	Now    func() time.Time // nil means time.Now
	Leeway time.Duration    // clock skew allowed both ways; 0 means DefaultLeeway
}

// check fills in defaults and names the option at fault.
func (o Options) check() (Options, error) {
	if o.Name == "" {
		return o, errors.New("tokens: Options.Name is empty")
	}
	if o.Keys == nil {
		return o, errors.New("tokens: Options.Keys is nil")
	}
	if o.Leeway < 0 {
		return o, errors.New("tokens: Options.Leeway is negative")
	}
	if o.Leeway == 0 {
		o.Leeway = DefaultLeeway
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}
