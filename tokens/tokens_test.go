package tokens

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
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

// TestHeadersWeDoNotWrite: everything here is signed by our own active key.
func TestHeadersWeDoNotWrite(t *testing.T) {
	ring := ringOf(t, EdDSA)
	i, _ := issuerOf(t, ring)
	_, err := i.Verify(forge(t, ring, nil, ticketBody(nil)))
	require.NoError(t, err, "the forge works")
	kid := ring.keys.Load().active.id
	tests := []struct {
		name string
		head any
		err  error
	}{
		{"jku", ticketHeader(ring, map[string]any{"jku": "https://evil.example/keys"}), ErrMalformed},
		{"x5u", ticketHeader(ring, map[string]any{"x5u": "https://evil.example/cert"}), ErrMalformed},
		{"x5c", ticketHeader(ring, map[string]any{"x5c": []string{"MIIB"}}), ErrMalformed},
		{"jwk", ticketHeader(ring, map[string]any{"jwk": map[string]string{"kty": "OKP"}}), ErrMalformed},
		{"crit", ticketHeader(ring, map[string]any{"crit": []string{"exp"}}), ErrMalformed},
		{"b64", ticketHeader(ring, map[string]any{"b64": false}), ErrMalformed},
		{"cty", ticketHeader(ring, map[string]any{"cty": "JWT"}), ErrMalformed},
		{"zip", ticketHeader(ring, map[string]any{"zip": "DEF"}), ErrMalformed},
		{"typ JWT", ticketHeader(ring, map[string]any{"typ": "JWT"}), ErrMalformed},
		{"typ of access tokens", ticketHeader(ring, map[string]any{"typ": "at+jwt"}), ErrMalformed},
		{"typ in capitals", ticketHeader(ring, map[string]any{"typ": "INVITE+JWT"}), ErrMalformed},
		{"typ a number", ticketHeader(ring, map[string]any{"typ": 1}), ErrMalformed},
		{"typ null", ticketHeader(ring, map[string]any{"typ": nil}), ErrMalformed},
		{"no typ", `{"alg":"EdDSA","kid":"` + kid + `"}`, ErrMalformed},
		{"kid unknown", ticketHeader(ring, map[string]any{"kid": "AAAAAAAAAAAA"}), ErrUnknownKey},
		{"kid a path", ticketHeader(ring, map[string]any{"kid": "../../../../dev/null"}), ErrUnknownKey},
		{"kid SQL", ticketHeader(ring, map[string]any{"kid": "' OR 1=1 --"}), ErrUnknownKey},
		{"kid empty", ticketHeader(ring, map[string]any{"kid": ""}), ErrUnknownKey},
		{"kid a list", ticketHeader(ring, map[string]any{"kid": []string{kid}}), ErrMalformed},
		{"no kid", `{"alg":"EdDSA","typ":"invite+jwt"}`, ErrUnknownKey},
		{"alg none", ticketHeader(ring, map[string]any{"alg": "none"}), ErrSignature},
		{"alg None", ticketHeader(ring, map[string]any{"alg": "None"}), ErrSignature},
		{"alg nOnE", ticketHeader(ring, map[string]any{"alg": "nOnE"}), ErrSignature},
		{"alg HS256", ticketHeader(ring, map[string]any{"alg": "HS256"}), ErrSignature},
		{"alg ES256 with an Ed25519 key", ticketHeader(ring, map[string]any{"alg": "ES256"}), ErrSignature},
		{"alg eddsa", ticketHeader(ring, map[string]any{"alg": "eddsa"}), ErrSignature},
		{"no alg", `{"kid":"` + kid + `","typ":"invite+jwt"}`, ErrSignature},
		{"kid twice", `{"alg":"EdDSA","kid":"x","typ":"invite+jwt","kid":"` + kid + `"}`, ErrMalformed},
		{"KID beside kid", `{"alg":"EdDSA","KID":"x","typ":"invite+jwt","kid":"` + kid + `"}`, ErrMalformed},
		{"kid with a Kelvin sign", `{"alg":"EdDSA","` + "\u212a" + `id":"x","typ":"invite+jwt","kid":"` + kid + `"}`, ErrMalformed},
		{"not an object", `["EdDSA"]`, ErrMalformed},
		{"null", `null`, ErrMalformed},
		{"two objects", `{"alg":"EdDSA","kid":"` + kid + `","typ":"invite+jwt"}{}`, ErrMalformed},
		{"not closed", `{"alg":"EdDSA","kid":"` + kid + `","typ":"invite+jwt"`, ErrMalformed},
		{"nested deeply", `{"alg":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := i.Verify(forge(t, ring, tt.head, ticketBody(nil)))
			require.ErrorIs(t, err, tt.err)
			require.ErrorIs(t, err, ErrInvalid)
			require.Zero(t, got)
		})
	}
}

// TestClaimsWeDoNotWrite: everything here is signed by our own active key.
func TestClaimsWeDoNotWrite(t *testing.T) {
	ring := ringOf(t, EdDSA)
	i, _ := issuerOf(t, ring)
	good, err := json.Marshal(ticketBody(nil))
	require.NoError(t, err)
	with := func(member string) string { return string(good[:len(good)-1]) + "," + member + "}" }
	set := func(claim string, value any) map[string]any { return ticketBody(map[string]any{claim: value}) }
	tests := []struct {
		name string
		body any
		err  error
	}{
		{"no iss", set("iss", nil), ErrClaims},
		{"foreign iss", set("iss", "https://evil.example"), ErrClaims},
		{"iss with a slash", set("iss", name+"/"), ErrClaims},
		{"no aud", set("aud", nil), ErrClaims},
		{"aud of access tokens", set("aud", "graph"), ErrClaims},
		{"two auds, ours among them", set("aud", []string{"redeem", "graph"}), ErrClaims},
		{"no sub", set("sub", nil), ErrClaims},
		{"empty sub", set("sub", ""), ErrClaims},
		{"no tid", set("tid", nil), ErrClaims},
		{"tid a number", set("tid", 7), ErrClaims},
		{"no iid", set("iid", nil), ErrClaims},
		{"no jti", set("jti", nil), ErrClaims},
		{"no gen", set("gen", nil), ErrClaims},
		{"gen a string", set("gen", "1"), ErrClaims},
		{"gen a fraction", set("gen", 1.5), ErrClaims},
		{"gen negative", set("gen", -1), ErrClaims},
		{"gen larger than any", set("gen", int64(1)<<40), ErrClaims},
		{"no iat", set("iat", nil), ErrClaims},
		{"iat in an hour", set("iat", t0.Add(time.Hour).Unix()), ErrClaims},
		{"iat a string", set("iat", "1"), ErrClaims},
		{"nbf in an hour", set("nbf", t0.Add(time.Hour).Unix()), ErrClaims},
		{"nbf a string", set("nbf", "soon"), ErrClaims},
		{"exp zero", set("exp", 0), ErrClaims},
		{"exp negative", set("exp", -1), ErrClaims},
		{"exp a string", set("exp", "4102444800"), ErrClaims},
		{"exp null", `{"iss":"` + name + `","aud":"redeem","sub":"s","tid":"t","iid":"i","gen":1,"jti":"j","iat":1,"exp":null}`, ErrClaims},
		{"exp with an exponent", with(`"exp":1e20`)[1:], ErrMalformed},
		{"exp after 9999", set("exp", lastSecond+1), ErrClaims},
		{"sub twice", with(`"sub":"mallory"`), ErrMalformed},
		{"SUB beside sub", with(`"SUB":"mallory"`), ErrMalformed},
		{"Exp beside exp", with(`"Exp":9999999999`), ErrMalformed},
		{"sub with a long s", with(`"` + "\u017f" + `ub":"mallory"`), ErrMalformed},
		{"sub escaped, beside sub", with(`"\u0073ub":"mallory"`), ErrMalformed},
		{"empty object", `{}`, ErrClaims},
		{"not JSON", `foo`, ErrMalformed},
		{"an array", `[]`, ErrMalformed},
		{"null", `null`, ErrClaims},
		{"two objects", string(good) + `{}`, ErrMalformed},
		{"broken UTF-8", with("\"x\":\"\xff\""), ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := i.Verify(forge(t, ring, nil, tt.body))
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorIs(t, err, tt.err)
			require.Zero(t, got)
		})
	}
	t.Run("an unknown claim is ignored", func(t *testing.T) {
		_, err := i.Verify(forge(t, ring, nil, with(`"later":[1]`)))
		require.NoError(t, err)
	})
}

// variants returns spellings of a token that a lax verifier takes for it, and
// damage.
func variants(token string) map[string]string {
	p := strings.Split(token, ".")
	head, body, sig := p[0], p[1], p[2]
	last := strings.IndexByte(alphabet, sig[len(sig)-1])
	return map[string]string{
		"empty":                        "",
		"dots":                         "..",
		"a megabyte of dots":           strings.Repeat(".", 1<<20),
		"a megabyte":                   strings.Repeat("A", 1<<20),
		"no signature":                 head + "." + body + ".",
		"no signature and no dot":      head + "." + body,
		"no header":                    "." + body + "." + sig,
		"no payload":                   head + ".." + sig,
		"a fourth segment":             token + "." + sig,
		"a dot at the end":             token + ".",
		"twice":                        token + token,
		"line break in the signature":  head + "." + body + "." + sig[:8] + "\r\n" + sig[8:],
		"line feed at the end":         token + "\n",
		"space in front":               " " + token,
		"tab at the end":               token + "\t",
		"wrapped by a mail client":     strings.ReplaceAll(token, ".", ".\r\n "),
		"soft line break of QP":        token[:70] + "=\r\n" + token[70:],
		"padding":                      token + "=",
		"more padding":                 token + "==",
		"percent-encoded dot":          strings.Replace(token, ".", "%2E", 1),
		"NUL at the end":               token + "\x00",
		"full-width dot":               strings.Replace(token, ".", "\uff0e", 1),
		"spare bits in the last digit": token[:len(token)-1] + string(alphabet[last^1]),
		"signature cut by one digit":   token[:len(token)-1],
		"signature one digit longer":   token + "A",
		"signature of zeros":           head + "." + body + "." + strings.Repeat("A", len(sig)),
		"signature of another token":   head + "." + body + "." + reverse(sig),
		"header and payload swapped":   body + "." + head + "." + sig,
		"header of none":               "eyJhbGciOiJub25lIn0." + body + ".",
		"header changed":               flip(head, 5) + "." + body + "." + sig,
		"payload changed":              head + "." + flip(body, 5) + "." + sig,
		"payload cut":                  head + "." + body[:len(body)-4] + "." + sig,
		"in lower case":                strings.ToLower(token),
		"in upper case":                strings.ToUpper(token),
		"as a bearer":                  "Bearer " + token,
		"in quotes":                    `"` + token + `"`,
		"standard base64":              strings.NewReplacer("-", "+", "_", "/").Replace(token) + "+",
		"JSON serialisation":           `{"protected":"` + head + `","payload":"` + body + `","signature":"` + sig + `"}`,
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func reverse(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

func TestVariantsOfATicketDoNotVerify(t *testing.T) {
	for _, alg := range []Alg{EdDSA, ES256, RS256} {
		i, _ := issuerOf(t, ringOf(t, alg))
		ticket, err := i.Issue(claims())
		require.NoError(t, err)
		for name, v := range variants(ticket) {
			t.Run(string(alg)+" "+name, func(t *testing.T) {
				got, err := i.Verify(v)
				require.ErrorIs(t, err, ErrInvalid)
				require.Zero(t, got)
				if len(v) > 20 {
					require.NotContains(t, err.Error(), v[:20], "no part of a token in an error")
				}
			})
		}
	}
}

func TestEveryCharacterOfATicketCounts(t *testing.T) {
	for _, alg := range []Alg{EdDSA, ES256, RS256} {
		i, _ := issuerOf(t, ringOf(t, alg))
		ticket, err := i.Issue(claims())
		require.NoError(t, err)
		for at := range len(ticket) {
			_, err := i.Verify(flip(ticket, at))
			require.ErrorIs(t, err, ErrInvalid, "%s, character %d", alg, at)
		}
	}
}

// TestTheTwinOfAnES256Signature: (r, n-s) verifies whenever (r, s) does, and
// is refused, so that a ticket has one spelling.
func TestTheTwinOfAnES256Signature(t *testing.T) {
	i, _ := issuerOf(t, ringOf(t, ES256))
	for range 20 {
		ticket, err := i.Issue(claims())
		require.NoError(t, err)
		cut := strings.LastIndexByte(ticket, '.') + 1
		sig, err := strict64.DecodeString(ticket[cut:])
		require.NoError(t, err)
		s := new(big.Int).SetBytes(sig[32:])
		s.Sub(p256Order, s).FillBytes(sig[32:])
		_, err = i.Verify(ticket[:cut] + base64.RawURLEncoding.EncodeToString(sig))
		require.ErrorIs(t, err, ErrSignature)
	}
}

// TestHS256WithThePublicKey is the classic confusion: the public key's bytes
// used as a MAC secret.
func TestHS256WithThePublicKey(t *testing.T) {
	ring := ringOf(t, EdDSA)
	i, _ := issuerOf(t, ring)
	k := ring.keys.Load().active
	good, err := i.Issue(claims())
	require.NoError(t, err)
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"` + k.id + `","typ":"invite+jwt"}`))
	text := head + "." + strings.Split(good, ".")[1]
	mac := sha256.Sum256([]byte(fmt.Sprint(k.public, text)))
	_, err = i.Verify(text + "." + base64.RawURLEncoding.EncodeToString(mac[:]))
	require.ErrorIs(t, err, ErrSignature)
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
