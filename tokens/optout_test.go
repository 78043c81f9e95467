package tokens

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOptOutsAreAPurposeOfTheirOwn holds that no token serves two purposes, though key and
// issuer are the same.
func TestOptOutsAreAPurposeOfTheirOwn(t *testing.T) {
	ring := ringOf(t, EdDSA)
	tickets, c := issuerOf(t, ring)
	optOuts, err := NewOptOutIssuer(Options{Name: name, Keys: ring, Now: func() time.Time { return c.now }})
	require.NoError(t, err)
	in := claims()
	in.Expires = time.Time{}
	ticket, err := tickets.Issue(in)
	require.NoError(t, err)
	optOut, err := optOuts.Issue(in)
	require.NoError(t, err)
	access, err := accessOf(t, ring).Issue(AccessClaims{Tenant: in.Tenant, Subject: in.Subject, AppID: "a", JTI: "j", Issued: t0, Expires: t0.Add(time.Hour)})
	require.NoError(t, err)

	got, err := optOuts.Verify(optOut)
	require.NoError(t, err)
	require.Equal(t, in, got)
	c.now = t0.AddDate(50, 0, 0)
	_, err = optOuts.Verify(optOut)
	require.NoError(t, err, "it does not expire")
	c.now = t0
	for what, wrong := range map[string]error{
		"ticket to opt out":        second(optOuts.Verify(ticket)),
		"access token to opt out":  second(optOuts.Verify(access)),
		"opt-out to redeem":        second(tickets.Verify(optOut)),
		"access token to redeem":   second(tickets.Verify(access)),
		"opt-out as access token":  second(accessOf(t, ring).Verify(optOut)),
		"a ticket as access token": second(accessOf(t, ring).Verify(ticket)),
	} {
		require.ErrorIs(t, wrong, ErrInvalid, what)
	}
}

func second[T any](_ T, err error) error { return err }
