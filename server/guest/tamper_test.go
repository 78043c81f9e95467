package guest_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/guest"
	"invited/server/invite"
	"invited/server/letters"
	"invited/tokens"
)

// tickets is invite.Tickets over real keys.
type tickets struct{ issuer *tokens.Issuer }

func (t tickets) Issue(c invite.Claims) (string, error) {
	return t.issuer.Issue(tokens.Claims{
		Tenant: string(c.Tenant), Subject: string(c.User), Invitation: string(c.Invitation), Generation: c.Generation, JTI: c.JTI, Issued: c.Issued, Expires: c.Expires,
	})
}

func (t tickets) Verify(ticket string) (invite.Claims, error) {
	c, err := t.issuer.Verify(ticket)
	switch {
	case errors.Is(err, tokens.ErrExpired):
		err = invite.ErrTicketExpired
	case err != nil:
		return invite.Claims{}, invite.ErrTicketInvalid
	}
	return invite.Claims{
		Tenant: directory.TenantID(c.Tenant), User: directory.UserID(c.Subject), Invitation: invite.ID(c.Invitation), Generation: c.Generation, JTI: c.JTI, Issued: c.Issued, Expires: c.Expires,
	}, err
}

// counted counts the looks into the store. It has no store behind it: a look
// that it does not know of panics, and is seen as a failure of the server.
type counted struct {
	invite.Store
	reads atomic.Int64
}

func (c *counted) Tenant(context.Context, directory.TenantID) (directory.Tenant, error) {
	c.reads.Add(1)
	return directory.Tenant{}, directory.ErrNotFound
}

// encode is base64url without padding.
func encode(v any) string {
	data, ok := v.(string)
	if !ok {
		b, _ := json.Marshal(v) // maps of plain values always marshal
		data = string(b)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(data))
}

// tampered is what people, programs and attackers make of a good ticket.
func tampered(t *testing.T, good, access, optOut string) map[string]string {
	t.Helper()
	part := strings.Split(good, ".")
	var header, body map[string]any
	for i, into := range []*map[string]any{&header, &body} {
		data, err := base64.RawURLEncoding.DecodeString(part[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, into))
	}
	with := func(m map[string]any, name string, value any) map[string]any {
		out := map[string]any{}
		for k, v := range m {
			out[k] = v
		}
		out[name] = value
		return out
	}
	head := func(name string, value any) string {
		return encode(with(header, name, value)) + "." + part[1] + "." + part[2]
	}
	claim := func(name string, value any) string {
		return part[0] + "." + encode(with(body, name, value)) + "." + part[2]
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	foreign := base64.RawURLEncoding.EncodeToString(ed25519.Sign(stranger, []byte(part[0]+"."+part[1])))
	out := map[string]string{
		"nothing": "", "a word": "ticket", "dots": "..", "many dots": strings.Repeat(".", 5000), "no signature": part[0] + "." + part[1] + ".",
		"two parts": part[0] + "." + part[1], "four parts": good + ".x", "cut off": good[:len(good)-5], "one letter more": good + "A",
		"wrapped by a mail program": good[:60] + "\r\n " + good[60:], "a space inside": good[:60] + " " + good[60:], "padding": good + "==",
		"quoted-printable": strings.Replace(good, "e", "=65", 1), "in upper case": strings.ToUpper(good), "twice": good + good,
		"alg none": head("alg", "none"), "alg None": head("alg", "None"), "alg nOnE": head("alg", "nOnE"), "alg HS256": head("alg", "HS256"), "alg RS256": head("alg", "RS256"),
		"kid a path": head("kid", "../../../../dev/null"), "kid SQL": head("kid", "' or 1=1 --"), "kid unknown": head("kid", "unknown"), "kid gone": encode(map[string]any{"alg": "EdDSA", "typ": "invite+jwt"}) + "." + part[1] + "." + part[2],
		"typ JWT": head("typ", "JWT"), "crit": head("crit", []string{"exp"}), "jku": head("jku", "https://evil.example/"), "jwk": head("jwk", map[string]any{"kty": "OKP"}),
		"x5u": head("x5u", "https://evil.example/"), "none at all": encode(`{"alg":"none"}`) + "." + part[1] + ".",
		"another guest": claim("sub", "somebody else"), "another tenant": claim("tid", "another"), "another invitation": claim("iid", "another"),
		"a later generation": claim("gen", 99), "for ever": claim("exp", 99999999999), "another issuer": claim("iss", "https://evil.example"),
		"another audience": claim("aud", "graph"), "a stranger's key": part[0] + "." + part[1] + "." + foreign,
		"an empty signature": part[0] + "." + part[1] + "." + encode(strings.Repeat("\x00", 64)),
		"an access token":    access, "a link to block": optOut, "64 KiB": strings.Repeat("A", 64<<10),
		"nested 4000 deep": encode(strings.Repeat("[", 4000)) + "." + part[1] + "." + part[2], "not UTF-8": "\xff\xfe." + part[1] + "." + part[2], "a null byte": good + "\x00",
	}
	for name, ticket := range out {
		require.NotEqual(t, good, ticket, name)
	}
	return out
}

// TestTamperedTicketsAreAllTheSame holds that nobody learns from the answer
// what was wrong with a ticket, and that no ticket that is not ours costs a look
// into the store.
func TestTamperedTicketsAreAllTheSame(t *testing.T) {
	now := func() time.Time { return t0 }
	ring, err := tokens.NewKeyring(tokens.EdDSA, t0)
	require.NoError(t, err)
	o := tokens.Options{Name: "urn:test", Keys: ring, Now: now}
	issuer, err := tokens.NewIssuer(o)
	require.NoError(t, err)
	optOuts, err := tokens.NewOptOutIssuer(o)
	require.NoError(t, err)
	accesses, err := tokens.NewAccessIssuer(o)
	require.NoError(t, err)
	write, err := letters.New(letters.Options{Emulator: true})
	require.NoError(t, err)
	store := &counted{}
	service, err := invite.New(invite.Options{
		Store: store, Tickets: tickets{issuer}, OptOuts: tickets{optOuts}, Letters: write, Now: now, NewID: func() string { return "id" },
		RedeemURL: func(directory.TenantID, invite.ID, string) string { return "" }, FailedLinks: 1000,
	})
	require.NoError(t, err)
	f := open(t)
	f.mux = http.NewServeMux()
	(&guest.Handler{
		Invitations: service, Cookies: cookies{}, Tenant: "t1", Now: now, NewCSRF: func() string { return "form token" }, Log: slog.New(slog.DiscardHandler),
	}).Mount(f.mux)

	claims := invite.Claims{Tenant: "t1", User: "u1", Invitation: "i1", Generation: 1, JTI: "j1", Issued: t0, Expires: t0.Add(time.Hour)}
	good, err := tickets{issuer}.Issue(claims)
	require.NoError(t, err)
	optOut, err := tickets{optOuts}.Issue(claims)
	require.NoError(t, err)
	access, err := accesses.Issue(tokens.AccessClaims{Tenant: "t1", Subject: "u1", AppID: "a", JTI: "j", Issued: t0, Expires: t0.Add(time.Hour)})
	require.NoError(t, err)

	ask := func(path, ticket string) string {
		began := time.Now()
		w := f.do(http.MethodGet, path+"?"+url.Values{"tenant": {"t1"}, "user": {"i1"}, "ticket": {ticket}}.Encode(), nil, nil)
		require.Less(t, time.Since(began), 50*time.Millisecond)
		require.Empty(t, w.Result().Cookies())
		return strings.ReplaceAll(fmt.Sprintln(w.Code, w.Header(), w.Body), w.Header().Get("X-Request-Id"), "request id")
	}
	all := tampered(t, good, access, optOut)
	require.Greater(t, len(all), 40)
	page := ask("/redeem", "x")
	require.True(t, strings.HasPrefix(page, "410 "), page)
	for name, ticket := range all {
		require.Equal(t, page, ask("/redeem", ticket), name)
		if name != "a link to block" {
			require.Equal(t, page, ask("/block", ticket), name)
		}
	}
	require.Equal(t, page, ask("/block", good), "a ticket to redeem does not block")
	require.Zero(t, store.reads.Load(), "no look into the store")
	ask("/redeem", good)
	require.EqualValues(t, 1, store.reads.Load(), "the count counts")
}
