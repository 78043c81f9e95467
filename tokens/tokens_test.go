package tokens

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// t0 is when every test begins.
var t0 = time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)

const name = "https://invite.contoso.example"

// rsaRing is made once: the key takes seconds.
var rsaRing = sync.OnceValue(func() *Keyring {
	k, err := NewKeyring(RS256, t0)
	if err != nil {
		panic(err)
	}
	return k
})

func ringOf(t testing.TB, alg Alg) *Keyring {
	t.Helper()
	if alg == RS256 {
		return rsaRing()
	}
	k, err := NewKeyring(alg, t0)
	require.NoError(t, err)
	return k
}

// clock is a time that tests set.
type clock struct{ now time.Time }

func issuerOf(t testing.TB, k *Keyring) (*Issuer, *clock) {
	t.Helper()
	c := &clock{now: t0}
	i, err := NewIssuer(Options{Name: name, Keys: k, Now: func() time.Time { return c.now }})
	require.NoError(t, err)
	return i, c
}

func accessOf(t testing.TB, k *Keyring) *AccessIssuer {
	t.Helper()
	i, err := NewAccessIssuer(Options{Name: name, Keys: k, Now: func() time.Time { return t0 }})
	require.NoError(t, err)
	return i
}

// claims is a usual ticket: thirty days, third set of links.
func claims() Claims {
	return Claims{
		Tenant:     "0190f3a0-0000-7000-8000-000000000001",
		Subject:    "0190f3a0-0000-7000-8000-000000000002",
		Invitation: "0190f3a0-0000-7000-8000-000000000003",
		Generation: 3,
		JTI:        "0190f3a0-0000-7000-8000-000000000004",
		Issued:     t0,
		Expires:    t0.Add(30 * 24 * time.Hour),
	}
}

func TestTicketsComeBackAsTheyWentIn(t *testing.T) {
	never := claims()
	never.Expires = time.Time{}
	first := claims()
	first.Generation = 0
	odd := claims()
	odd.Subject = "<b>&\u2028\"\\ü"
	tests := []struct {
		name   string
		claims Claims
	}{
		{"thirty days", claims()},
		{"never expires", never},
		{"generation zero", first},
		{"text that JSON escapes", odd},
	}
	for _, alg := range []Alg{EdDSA, ES256, RS256} {
		i, c := issuerOf(t, ringOf(t, alg))
		for _, tt := range tests {
			t.Run(string(alg)+" "+tt.name, func(t *testing.T) {
				c.now = t0
				ticket, err := i.Issue(tt.claims)
				require.NoError(t, err)
				got, err := i.Verify(ticket)
				require.NoError(t, err)
				require.Equal(t, tt.claims, got)
				if tt.claims.Expires.IsZero() {
					c.now = t0.AddDate(500, 0, 0)
					_, err = i.Verify(ticket)
					require.NoError(t, err, "a ticket without exp never expires")
				}
			})
		}
	}
}

func TestTicketsFitALink(t *testing.T) {
	longest := map[Alg]int{EdDSA: 560, ES256: 560, RS256: 960}
	for alg, most := range longest {
		i, _ := issuerOf(t, ringOf(t, alg))
		ticket, err := i.Issue(claims())
		require.NoError(t, err)
		t.Logf("%s ticket: %d bytes", alg, len(ticket))
		require.LessOrEqual(t, len(ticket), most)
	}
}

func TestIssueDefaultsToNowAndWholeSeconds(t *testing.T) {
	i, c := issuerOf(t, ringOf(t, EdDSA))
	c.now = t0.Add(300 * time.Millisecond)
	in := claims()
	in.Issued, in.Expires = time.Time{}, in.Expires.Add(700*time.Millisecond)
	ticket, err := i.Issue(in)
	require.NoError(t, err)
	got, err := i.Verify(ticket)
	require.NoError(t, err)
	require.Equal(t, claims(), got)
}

func TestIssueRefuses(t *testing.T) {
	i, _ := issuerOf(t, ringOf(t, EdDSA))
	tests := []struct {
		name  string
		spoil func(*Claims)
		want  string
	}{
		{"no tenant", func(c *Claims) { c.Tenant = "" }, "Tenant is empty"},
		{"no subject", func(c *Claims) { c.Subject = "" }, "Subject is empty"},
		{"no invitation", func(c *Claims) { c.Invitation = "" }, "Invitation is empty"},
		{"no jti", func(c *Claims) { c.JTI = "" }, "JTI is empty"},
		{"broken UTF-8", func(c *Claims) { c.JTI = "a\xff" }, "JTI is not UTF-8"},
		{"negative generation", func(c *Claims) { c.Generation = -1 }, "Generation"},
		{"expires when issued", func(c *Claims) { c.Expires = c.Issued }, "Expires"},
		{"expires in the year 10000", func(c *Claims) { c.Expires = time.Unix(lastSecond+1, 0) }, "Expires"},
		{"issued before 1970", func(c *Claims) { c.Issued = time.Unix(-1, 0) }, "Issued"},
		{"issued in an hour", func(c *Claims) { c.Issued = t0.Add(time.Hour) }, "Issued"},
		{"longer than Verify reads", func(c *Claims) { c.Subject = strings.Repeat("x", 2000) }, "the limit is 2048"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := claims()
			tt.spoil(&c)
			_, err := i.Issue(c)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestLifetime(t *testing.T) {
	i, c := issuerOf(t, ringOf(t, EdDSA))
	ticket, err := i.Issue(claims())
	require.NoError(t, err)
	end := claims().Expires
	tests := []struct {
		name string
		now  time.Time
		err  error // nil and ErrExpired come with the claims
	}{
		{"clock a minute behind", t0.Add(-DefaultLeeway), nil},
		{"clock more than a minute behind", t0.Add(-DefaultLeeway - time.Second), ErrClaims},
		{"last second", end.Add(-time.Second), nil},
		{"last second of the leeway", end.Add(DefaultLeeway - time.Second), nil},
		{"expired", end.Add(DefaultLeeway), ErrExpired},
		{"expired ten years ago", end.AddDate(10, 0, 0), ErrExpired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.now = tt.now
			got, err := i.Verify(ticket)
			require.ErrorIs(t, err, tt.err)
			if errors.Is(tt.err, ErrInvalid) {
				require.Zero(t, got)
			} else {
				require.Equal(t, claims(), got)
			}
		})
	}
}

func TestExpiredAndOtherwiseWrongIsInvalid(t *testing.T) {
	ring := ringOf(t, EdDSA)
	i, c := issuerOf(t, ring)
	c.now = t0.AddDate(1, 0, 0)
	ticket, err := (&Issuer{policy: i.policy}).Issue(Claims{
		Tenant: "t", Subject: "s", Invitation: "i", JTI: "j", Issued: t0, Expires: t0.Add(time.Hour),
	})
	require.NoError(t, err)
	_, err = i.Verify(ticket)
	require.ErrorIs(t, err, ErrExpired)
	require.NotErrorIs(t, err, ErrInvalid)

	other, _ := issuerOf(t, ringOf(t, EdDSA))
	other.policy.opts.Now = i.policy.opts.Now
	_, err = other.Verify(ticket)
	require.ErrorIs(t, err, ErrInvalid, "expired under a key that is not ours")
	_, err = i.Verify(flip(ticket, len(ticket)-10))
	require.ErrorIs(t, err, ErrInvalid, "expired and tampered with")
	require.NotErrorIs(t, err, ErrExpired)
	for name, change := range map[string]map[string]any{
		"foreign aud": {"aud": "graph"}, "foreign iss": {"iss": "https://evil.example"}, "no jti": {"jti": nil}, "bad gen": {"gen": "3"},
	} {
		body := ticketBody(change)
		body["exp"] = t0.Add(time.Hour).Unix()
		_, err = i.Verify(forge(t, ring, nil, body))
		require.ErrorIs(t, err, ErrInvalid, name)
		require.NotErrorIs(t, err, ErrExpired, name)
	}
}

// ticketBody is a good payload with changes; nil removes a claim.
func ticketBody(change map[string]any) map[string]any {
	body := map[string]any{
		"iss": name, "aud": "redeem", "sub": "s", "tid": "t", "iid": "i", "gen": 1, "jti": "j",
		"iat": t0.Unix(), "exp": t0.Add(time.Hour).Unix(),
	}
	for k, v := range change {
		if v == nil {
			delete(body, k)
		} else {
			body[k] = v
		}
	}
	return body
}

// ticketHeader is a good header for the ring's active key, with changes.
func ticketHeader(k *Keyring, change map[string]any) map[string]any {
	active := k.keys.Load().active
	head := map[string]any{"alg": string(active.alg), "kid": active.id, "typ": "invite+jwt"}
	maps.Copy(head, change)
	return head
}

// forge signs any header (nil: a good one) and payload with the active key. A
// string is taken as it is.
func forge(t testing.TB, ring *Keyring, head, body any) string {
	t.Helper()
	if head == nil {
		head = ticketHeader(ring, nil)
	}
	segment := func(v any) string {
		raw, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			require.NoError(t, err)
			raw = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(raw))
	}
	k := ring.keys.Load().active
	text := segment(head) + "." + segment(body)
	sig, err := methods[k.alg].Sign(text, k.private)
	require.NoError(t, err)
	if k.alg == ES256 {
		lowS(sig)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// flip changes one character of a token into another of the alphabet.
func flip(token string, at int) string {
	c := byte('A')
	if token[at] == c {
		c = 'B'
	}
	return token[:at] + string(c) + token[at+1:]
}

// TestPurposesDoNotMix: a token serves the purpose and the deployment it was
// made for, and no other.
func TestPurposesDoNotMix(t *testing.T) {
	ring, foreign := ringOf(t, EdDSA), ringOf(t, EdDSA)
	elsewhere := func(i *Issuer) *Issuer { // same keys, another deployment
		o := i.policy.opts
		o.Name = "https://invite.fabrikam.example"
		other, err := NewIssuer(o)
		require.NoError(t, err)
		return other
	}
	tickets, _ := issuerOf(t, ring)
	foreignTickets, _ := issuerOf(t, foreign)
	access, foreignAccess := accessOf(t, ring), accessOf(t, foreign)

	type side struct {
		name   string
		issue  func() (string, error)
		verify func(string) error
	}
	ticketSide := func(name string, i *Issuer) side {
		return side{name, func() (string, error) { return i.Issue(claims()) },
			func(s string) error { _, err := i.Verify(s); return err }}
	}
	accessSide := func(name string, i *AccessIssuer) side {
		return side{name, func() (string, error) { return i.Issue(accessClaims()) },
			func(s string) error { _, err := i.Verify(s); return err }}
	}
	sides := []side{
		ticketSide("tickets", tickets), ticketSide("tickets of another name", elsewhere(tickets)),
		ticketSide("tickets of another ring", foreignTickets),
		accessSide("access tokens", access), accessSide("access tokens of another ring", foreignAccess),
	}
	for _, from := range sides {
		token, err := from.issue()
		require.NoError(t, err)
		for _, to := range sides {
			t.Run(from.name+" shown to "+to.name, func(t *testing.T) {
				err := to.verify(token)
				if from.name == to.name {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, ErrInvalid)
				}
			})
		}
	}
	t.Run("an access token whose audience is that of tickets", func(t *testing.T) {
		c := accessClaims()
		c.Audience = "redeem"
		_, err := access.Issue(c)
		require.ErrorContains(t, err, "Audience")
		head := ticketHeader(ring, map[string]any{"typ": "at+jwt"})
		_, err = access.Verify(forge(t, ring, head, ticketBody(nil)))
		require.ErrorIs(t, err, ErrInvalid)
	})
}

func TestOptionsAreNamed(t *testing.T) {
	ring := ringOf(t, EdDSA)
	tests := []struct {
		name string
		opts Options
		want string
	}{
		{"no name", Options{Keys: ring}, "Options.Name"},
		{"no keys", Options{Name: name}, "Options.Keys"},
		{"negative leeway", Options{Name: name, Keys: ring, Leeway: -1}, "Options.Leeway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewIssuer(tt.opts)
			require.ErrorContains(t, err, tt.want)
			_, err = NewAccessIssuer(tt.opts)
			require.ErrorContains(t, err, tt.want)
		})
	}
	i, err := NewIssuer(Options{Name: name, Keys: ring})
	require.NoError(t, err)
	require.Equal(t, DefaultLeeway, i.policy.opts.Leeway)
}
