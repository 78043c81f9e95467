// Package storetest is what a store engine has to promise, as tests.
//
// It knows no engine: every engine's tests call [Run]. What only one engine can
// do wrong, such as its files and its locks, is tested beside that engine.
package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/store"
)

// Engine is what the suite needs of an engine.
type Engine struct {
	// Open returns an empty store.
	Open func(t *testing.T) store.Store
	// Reopen closes a store and opens what it left behind. nil: the engine
	// keeps nothing.
	Reopen func(t *testing.T, s store.Store) store.Store
}

// Start is when the tests take place.
var Start = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

// Run runs the suite. Each test gets a store of its own, which is closed after.
func Run(t *testing.T, e Engine) {
	for _, group := range [][]test{directoryTests, listTests, invitationTests, limitTests, outboxTests, isolationTests, redemptionTests, bounceTests} {
		for _, tt := range group {
			t.Run(tt.name, func(t *testing.T) {
				s := e.Open(t)
				h := &house{T: t, Store: s, ctx: t.Context()}
				defer func() { require.NoError(t, h.Close()) }()
				tt.run(h)
			})
		}
	}
	if e.Reopen != nil {
		t.Run("reopening keeps everything", func(t *testing.T) {
			h := &house{T: t, Store: e.Open(t), ctx: t.Context()}
			defer func() { require.NoError(t, h.Close()) }()
			testReopen(h, e)
		})
	}
}

type test struct {
	name string
	run  func(h *house)
}

// house is a store under test with what the tests say of it.
type house struct {
	*testing.T
	store.Store
	ctx context.Context
}

// ID returns a new UUIDv7.
func ID() string { return uuid.Must(uuid.NewV7()).String() }

// NewTenant returns a tenant with an open policy, as it may be created.
func NewTenant(id string) (directory.Tenant, directory.Policy) {
	name := strings.ToLower(id)
	return directory.Tenant{
			ID:            directory.TenantID(id),
			DisplayName:   id,
			PrimaryDomain: name + ".example",
			InitialDomain: name + ".onmicrosoft.example",
			Domains:       []string{name + ".example", name + ".onmicrosoft.example"},
			Language:      "en-US",
			PrivacyURL:    "https://" + name + ".example/privacy",
			Created:       Start,
		}, directory.Policy{
			Tenant:        directory.TenantID(id),
			InvitesFrom:   directory.InvitesFromEveryone,
			RedirectHosts: []string{"*." + name + ".example"},
			Rules:         directory.RulesLegacy,
			Fallback:      directory.FallbackLink,
			CodeLifetime:  directory.DefaultCodeLifetime,
			OnResend:      directory.KeepLinks,
			LinkLifetime:  30 * 24 * time.Hour,
			Limits:        directory.Limits{RecipientPer5Min: 1, TenantPerDay: 1000},
		}
}

// NewGuest returns a guest who was just invited.
func NewGuest(t directory.TenantID, address string) directory.User {
	return directory.User{
		Tenant:         t,
		ID:             directory.UserID(ID()),
		UPN:            strings.ReplaceAll(address, "@", "_") + "#EXT#@contoso.onmicrosoft.example",
		DisplayName:    strings.Split(address, "@")[0],
		Mail:           address,
		ProxyAddresses: []string{"SMTP:" + address},
		Type:           directory.Guest,
		CreationType:   directory.CreatedByInvitation,
		State:          directory.Pending,
		StateChanged:   Start,
		Enabled:        true,
		Identities:     []directory.Identity{{SignInType: "emailAddress", Issuer: "mail", IssuerAssignedID: address}},
		InvitedBy:      "inviter",
		Created:        Start,
		Generation:     1,
	}
}

// NewInvitation returns everything of inviting a guest: guest, invitation,
// mail of about size bytes, audit.
func NewInvitation(u directory.User, size int) invite.Change {
	to := ParseAddress(u.Mail)
	inv := invite.Invitation{
		Tenant: u.Tenant, ID: invite.ID(ID()), User: u.ID, Email: to, DisplayName: u.DisplayName, UserType: directory.Guest,
		RedirectURL: "https://apps.contoso.example/", SendMessage: true, Message: "Welcome.", Language: "de",
		CC: &mail.Address{Local: "lead", Domain: "contoso.example"}, CCName: "Lead", InviterID: "inviter", InviterName: "Contoso",
		InviterMail: "inviter@contoso.example", Generation: u.Generation, JTI: ID(), Sends: 1, Created: Start, Sent: Start,
		Expires: Start.Add(30 * 24 * time.Hour),
	}
	event := func(a audit.Activity) audit.Event {
		return audit.Event{
			ID: ID(), Tenant: string(u.Tenant), At: Start, Activity: a, Result: audit.Success, Actor: "inviter",
			ActorName: "inviter@contoso.example", Target: string(u.ID), TargetName: u.Mail, Invitation: string(inv.ID),
			Correlation: "request", Details: map[string]string{"language": "de"},
		}
	}
	return invite.Change{
		Change: directory.Change{
			Tenant: u.Tenant, NewUsers: []directory.User{u},
			Audit: []audit.Event{event(audit.AddUser), event(audit.InviteExternal)},
		},
		NewInvitations: []invite.Invitation{inv},
		Mail:           []invite.Letter{NewLetter(inv, size)},
	}
}

// NewLetter returns a mail of an invitation, queued when the tests start.
func NewLetter(i invite.Invitation, size int) invite.Letter {
	id := ID()
	return invite.Letter{
		ID: id, Invitation: i.ID, User: i.User, Inviter: i.InviterID, LimitKey: i.Email.Key(), Queued: Start,
		Message: mail.Message{
			MessageID: id + "@contoso.example", From: "bounce@contoso.example", To: i.Email,
			Raw: []byte("Subject: hello\r\n\r\n" + strings.Repeat("x", size)),
		},
	}
}

// ParseAddress splits an address at its last @.
func ParseAddress(s string) mail.Address {
	at := strings.LastIndexByte(s, '@')
	return mail.Address{Local: s[:at], Domain: s[at+1:]}
}

// newTenant creates a tenant.
func (h *house) newTenant(id string) directory.TenantID {
	h.Helper()
	t, p := NewTenant(id)
	require.NoError(h, h.CreateTenant(h.ctx, t, p))
	return t.ID
}

// invite stores an invitation with its guest and mail.
func (h *house) invite(t directory.TenantID, address string) invite.Change {
	h.Helper()
	c := NewInvitation(NewGuest(t, address), 64)
	require.NoError(h, h.ApplyInvitation(h.ctx, c))
	return c
}

// apply applies a change of the directory.
func (h *house) apply(c directory.Change) {
	h.Helper()
	require.NoError(h, h.ApplyDirectory(h.ctx, c))
}

// user reads a user who must be there.
func (h *house) user(t directory.TenantID, id directory.UserID) directory.User {
	h.Helper()
	u, err := h.User(h.ctx, t, id)
	require.NoError(h, err)
	return u
}

// pages reads a list to its end, a few at a time.
func pages[T any](h *house, limit int, key func(T) string, page func(after string) ([]T, error)) []T {
	h.Helper()
	var all []T
	after := ""
	for {
		p, err := page(after)
		require.NoError(h, err)
		require.LessOrEqual(h, len(p), limit)
		if len(p) == 0 {
			return all
		}
		all = append(all, p...)
		after = key(p[len(p)-1])
	}
}

// addressN returns one of many addresses.
func addressN(n int) string { return fmt.Sprintf("guest%04d@fabrikam.example", n) }
