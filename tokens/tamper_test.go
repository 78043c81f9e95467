package tokens

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
