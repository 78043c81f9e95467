package tokens

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzVerify checks the property the links rest on: of all texts near a ticket,
// only the ticket verifies.
func FuzzVerify(f *testing.F) {
	var issuers []*Issuer
	var tickets []string
	for _, alg := range []Alg{EdDSA, ES256} {
		i, _ := issuerOf(f, ringOf(f, alg))
		ticket, err := i.Issue(claims())
		require.NoError(f, err)
		issuers, tickets = append(issuers, i), append(tickets, ticket)
	}
	f.Add(uint8(0), uint16(0), "")
	f.Add(uint8(1), uint16(40), "AAAA")
	f.Add(uint8(0), uint16(60), "\r\n")
	f.Add(uint8(1), uint16(65535), "=")
	f.Add(uint8(0), uint16(0), "eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, which uint8, at uint16, patch string) {
		n := int(which) % len(tickets)
		ticket := tickets[n]
		pos := int(at) % (len(ticket) + 1)
		over := ticket[:pos] + patch + ticket[min(pos+len(patch), len(ticket)):]
		between := ticket[:pos] + patch + ticket[pos:]
		cut := ticket[:pos] + ticket[min(pos+1, len(ticket)):]
		for _, s := range []string{patch, over, between, cut} {
			got, err := issuers[n].Verify(s)
			if s == ticket {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, ErrInvalid, "%q", s)
			require.Zero(t, got)
		}
	})
}

// FuzzClaims checks that whatever payload our own key has signed, Verify
// neither panics nor returns a ticket without its required claims.
func FuzzClaims(f *testing.F) {
	ring := ringOf(f, EdDSA)
	i, _ := issuerOf(f, ring)
	good, err := json.Marshal(ticketBody(nil))
	require.NoError(f, err)
	for _, seed := range []string{string(good), `{}`, `{"iss":1}`, `{"iss":"a","ISS":"b"}`, "\xff", `[[[`, `{"exp":1e400}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 1200 {
			return
		}
		c, err := i.Verify(forge(t, ring, nil, body))
		if err != nil {
			return
		}
		require.NotEmpty(t, c.Tenant)
		require.NotEmpty(t, c.Subject)
		require.NotEmpty(t, c.Invitation)
		require.NotEmpty(t, c.JTI)
		require.False(t, c.Issued.IsZero())
		require.GreaterOrEqual(t, c.Generation, 0)
	})
}

func BenchmarkIssue(b *testing.B) {
	for _, alg := range []Alg{EdDSA, ES256, RS256} {
		i, _ := issuerOf(b, ringOf(b, alg))
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Issue(claims()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []Alg{EdDSA, ES256, RS256} {
		i, _ := issuerOf(b, ringOf(b, alg))
		ticket, err := i.Issue(claims())
		require.NoError(b, err)
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Verify(ticket); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifyForged is what a flood of bad links costs.
func BenchmarkVerifyForged(b *testing.B) {
	i, _ := issuerOf(b, ringOf(b, EdDSA))
	ticket, err := i.Issue(claims())
	require.NoError(b, err)
	for name, bad := range map[string]string{
		"too long": strings.Repeat("A", 1<<20), "bad signature": flip(ticket, len(ticket)-20), "unknown key": flip(ticket, 30),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.Verify(bad); err == nil {
					b.Fatal("verified")
				}
			}
		})
	}
}
