package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/mail/outbox"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
	"invited/tokens"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	tenantID  = "11111111-1111-7111-8111-111111111111"
	requestID = "33333333-3333-7333-8333-333333333333"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fake is the services behind the face.
type fake struct {
	details  []invite.Details // newest first
	policy   directory.Policy
	homes    map[string]directory.HomeTenant
	accounts map[string][]string
	request  invite.Request // the last one
	called   []string
	failed   []string    // networks that links failed from
	edit     invite.Edit // of the last resend
	signIn   directory.Decision
	rotated  int
	fail     error // answered by every service
}

func newFake() *fake {
	f := &fake{
		policy: directory.DefaultPolicy(tenantID), homes: map[string]directory.HomeTenant{}, accounts: map[string][]string{},
		signIn: directory.Decision{Method: directory.MethodLink},
	}
	for i := range 4 {
		f.details = append(f.details, details(i))
	}
	f.details[2].State = invite.StateAccepted
	return f
}

func address(i int) mail.Address {
	return mail.Address{Local: string(rune('a' + i)), Domain: "fabrikam.example"}
}

func details(i int) invite.Details {
	to := address(i)
	u := directory.User{
		Tenant: tenantID, ID: directory.UserID(fmt.Sprintf("0190d4c0-0000-7000-8000-%012d", i)), DisplayName: strings.ToUpper(to.Local),
		UPN: to.Local + "_fabrikam.example#EXT#@contoso.onmicrosoft.example", Mail: to.String(), Type: directory.Guest, State: directory.Pending, StateChanged: t0, Enabled: true,
	}
	cc := mail.Address{Local: "boss", Domain: "fabrikam.example"}
	inv := invite.Invitation{
		Tenant: tenantID, ID: invite.ID(fmt.Sprintf("0290d4c0-0000-7000-8000-%012d", 9-i)), User: u.ID, Email: to, UserType: directory.Guest,
		RedirectURL: "https://app.contoso.example/", SendMessage: true, Message: "Hi & welcome", Language: "de", CC: &cc, CCName: "Boss",
		InviterID: "i", InviterName: "Inviter", InviterMail: "inviter@contoso.example", Sends: 1, Created: t0, Sent: t0, Expires: t0.Add(time.Hour), Version: 2,
	}
	attempt := mail.Attempt{Number: 1, At: t0, Relay: "127.0.0.1:1025", Stage: mail.StageDot, Code: 250, Text: "queued"}
	return invite.Details{
		Invitation: inv, User: u, State: invite.StatePending, Views: invite.Views{Count: 1, Automated: 2, First: t0, Last: t0},
		Deliveries: []invite.Delivery{{
			ID: "d1", Invitation: inv.ID, User: u.ID, To: to, MessageID: "m@contoso.example", State: mail.Delivered, Queued: t0, Attempts: 1, Last: attempt,
			Filing: &invite.Filing{ID: "c1", Folder: "Junk", At: t0, Score: 6.5, Hits: []invite.Hit{{Rule: "URGENCY_WORDS", Score: 1, Why: "It shouts.", Fix: "Do not."}}},
		}},
	}
}

func (f *fake) Authenticate(_ context.Context, bearer string) (directory.Actor, error) {
	switch bearer {
	case "local", "app":
		return directory.Actor{Tenant: tenantID, Application: true, ID: "app", Permissions: directory.AllPermissions()}, nil
	case "person":
		return directory.Actor{Tenant: tenantID, ID: "person"}, nil
	}
	return directory.Actor{}, &problem.Error{Op: "fake", Kind: problem.Unauthenticated, Reason: problem.TokenInvalid, Detail: "The access token does not verify."}
}

func (f *fake) IsLocal(bearer string) bool { return bearer == "local" }

func (f *fake) MintFor(_ context.Context, t directory.TenantID, upn, issuer string) (string, time.Duration, error) {
	f.called = append(f.called, "mint "+string(t)+" "+upn+" "+issuer)
	return "a.b.c", time.Hour, f.fail
}

func (f *fake) find(ref string) (invite.Details, error) {
	if f.fail != nil {
		return invite.Details{}, f.fail
	}
	for _, d := range f.details {
		if string(d.Invitation.ID) == ref || string(d.User.ID) == ref || d.User.Mail == ref || d.User.UPN == ref {
			return d, nil
		}
	}
	return invite.Details{}, &problem.Error{Op: "fake", Kind: problem.NotFound, Reason: problem.Missing, Detail: "Nobody with this address or id was invited to this organisation."}
}

func (f *fake) Create(_ context.Context, _ directory.Actor, r invite.Request) (invite.Created, error) {
	f.request = r
	f.called = append(f.called, "create")
	if _, err := mail.ParseAddress(r.Email); err != nil {
		return invite.Created{}, &problem.Error{
			Op: "fake", Kind: problem.Invalid, Reason: problem.BadAddress, Field: "invitedUserEmailAddress", Detail: "Invalid value for invitedUserEmailAddress: no.",
		}
	}
	d := f.details[0]
	return invite.Created{Invitation: d.Invitation, User: d.User, RedeemURL: "http://example.com/redeem?ticket=t", NewUser: true}, f.fail
}

func (f *fake) Resend(_ context.Context, _ directory.Actor, ref string, edit invite.Edit) (invite.Created, error) {
	f.edit = edit
	f.called = append(f.called, "resend "+ref)
	d, err := f.find(ref)
	d.Invitation.Sends++
	return invite.Created{Invitation: d.Invitation, User: d.User, RedeemURL: "http://example.com/redeem?ticket=u"}, err
}

func (f *fake) Revoke(_ context.Context, _ directory.Actor, ref string) (invite.Invitation, error) {
	d, err := f.find(ref)
	d.Invitation.Revoked = t0
	return d.Invitation, err
}

func (f *fake) Get(_ context.Context, _ directory.Actor, ref string) (invite.Details, error) {
	return f.find(ref)
}

func (f *fake) List(_ context.Context, _ directory.Actor, q invite.Query) ([]invite.Details, error) {
	var out []invite.Details
	for _, d := range f.details {
		if q.After != "" && d.Invitation.ID >= q.After || q.Open && d.State == invite.StateAccepted || !strings.HasPrefix(d.User.Mail, q.Text) {
			continue
		}
		d.Deliveries, d.Views = nil, invite.Views{}
		if out = append(out, d); len(out) == q.Limit {
			break
		}
	}
	return out, f.fail
}

func (f *fake) Deliveries(_ context.Context, _ directory.Actor, id invite.ID) ([]invite.Delivery, error) {
	d, err := f.find(string(id))
	if err != nil {
		return nil, err
	}
	d.Deliveries[0].History = []mail.Attempt{d.Deliveries[0].Last}
	return d.Deliveries, nil
}

func (f *fake) Mail(_ context.Context, _ directory.Actor, q invite.MailQuery) ([]invite.Delivery, error) {
	var out []invite.Delivery
	for _, d := range f.details {
		if m := d.Deliveries[0]; (q.State == "" || m.State == q.State) && len(out) < q.Limit {
			out = append(out, m)
		}
	}
	return out, f.fail
}

func (f *fake) OneMail(_ context.Context, _ directory.Actor, id string) (invite.Delivery, error) {
	for _, d := range f.details {
		if m := d.Deliveries[0]; m.ID == id {
			m.History = []mail.Attempt{m.Last}
			return m, f.fail
		}
	}
	return invite.Delivery{}, &problem.Error{Op: "fake", Kind: problem.NotFound, Reason: problem.Missing, Detail: "There is no such mail in this organisation."}
}

func (f *fake) Redrive(ctx context.Context, actor directory.Actor, id string) (invite.Delivery, error) {
	d, err := f.OneMail(ctx, actor, id)
	d.State = mail.Queued
	f.called = append(f.called, "redrive "+id)
	return d, err
}

func (f *fake) Events(_ context.Context, _ directory.Actor, id invite.ID, after string, limit int) ([]audit.Event, error) {
	var out []audit.Event
	for i := range 3 {
		e := audit.Event{
			ID: fmt.Sprintf("e%d", i), At: t0, Activity: audit.InviteExternal, Result: audit.Success, Actor: "app", ActorName: "Tests",
			Invitation: string(id), Details: map[string]string{"a": "b"},
		}
		if e.ID > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, f.fail
}

func (f *fake) Diagnose(_ context.Context, _ directory.Actor, ref string) (invite.Diagnosis, error) {
	d, err := f.find(ref)
	return invite.Diagnosis{
		User: d.User, Invitation: d.Invitation, State: d.State, Reason: problem.JITDisabled,
		Steps: []invite.Step{
			{Name: "policy", OK: true, Evidence: map[string]string{"accountEnabled": "true"}},
			{Name: "home", Reason: problem.JITDisabled, Evidence: map[string]string{"domain": "fabrikam.example"}},
		},
	}, err
}

func (f *fake) redemption(ticket string) (invite.Redemption, error) {
	d := f.details[0]
	r := invite.Redemption{
		Claims: invite.Claims{Tenant: tenantID, User: d.User.ID, Invitation: d.Invitation.ID}, Tenant: directory.Tenant{DisplayName: "Contoso", PrimaryDomain: "contoso.example"},
		Guest: d.User, Invitation: d.Invitation, State: d.State, SignIn: f.signIn,
	}
	if ticket != "good" {
		return invite.Redemption{}, &problem.Error{Op: "fake", Kind: problem.Gone, Reason: problem.LinkInvalid, Detail: "This link is not valid."}
	}
	return r, f.fail
}

func (f *fake) Open(_ context.Context, _ directory.TenantID, _, ticket string) (invite.Redemption, error) {
	return f.redemption(ticket)
}

func (f *fake) Accept(_ context.Context, _ invite.Claims, m directory.Method) (invite.Redemption, error) {
	f.called = append(f.called, "accept "+string(m))
	r, err := f.redemption("good")
	r.State, r.Invitation.Accepted = invite.StateAccepted, t0
	return r, err
}

func (f *fake) AskCode(_ context.Context, _ invite.Claims, session string) (invite.Redemption, error) {
	f.called = append(f.called, "ask "+session)
	return f.redemption("good")
}

func (f *fake) TryCode(_ context.Context, _ invite.Claims, session, code, from string) (invite.Redemption, error) {
	f.called = append(f.called, "try "+session+" "+code+" "+from)
	r, err := f.redemption("good")
	if err == nil && code != "01234567" {
		err = &problem.Error{Op: "fake", Kind: problem.Denied, Reason: problem.CodeWrong, Detail: "No."}
	}
	return r, err
}

func (f *fake) FailedLink(from string, refusal error) error {
	if refusal != nil {
		f.failed = append(f.failed, from)
	}
	return refusal
}

func (f *fake) Preflight(_ context.Context, _ directory.Actor, email string) (invite.Preflight, error) {
	home := &directory.HomeTenant{Domain: "fabrikam.example"}
	return invite.Preflight{
		Tenant: directory.Tenant{DisplayName: "Contoso"}, Address: address(0), SignIn: directory.Decision{Reason: problem.JITDisabled, Provider: directory.ProviderHome, Home: home},
		Rule: "account missing", Invitable: true, Reason: problem.JITDisabled, Detail: "No account.",
		Checks: []invite.Check{
			{Name: "address", OK: true, Evidence: map[string]string{"address": email}},
			{Name: "signIn", Reason: problem.JITDisabled, Detail: "No account."},
		},
	}, f.fail
}

func (f *fake) Decline(context.Context, invite.Claims) (invite.Redemption, error) {
	f.called = append(f.called, "decline")
	r, err := f.redemption("good")
	r.State = invite.StateDeclined
	return r, err
}

func (f *fake) Tenant(context.Context, directory.Actor) (directory.Tenant, error) {
	return directory.Tenant{ID: tenantID, DisplayName: "Contoso"}, nil
}

func (f *fake) Policy(context.Context, directory.Actor) (directory.Policy, error) {
	return f.policy, f.fail
}

func (f *fake) SetPolicy(_ context.Context, _ directory.Actor, p directory.Policy) (directory.Policy, error) {
	p, err := p.Check()
	if err == nil {
		f.policy = p
	}
	return p, err
}

func (f *fake) Home(_ context.Context, _ directory.Actor, domain string) (directory.HomeTenant, error) {
	h, ok := f.homes[domain]
	if !ok {
		return h, &problem.Error{Op: "fake", Kind: problem.NotFound, Reason: problem.Missing, Detail: "Nothing is known of this home organisation."}
	}
	return h, f.fail
}

func (f *fake) HomeAccounts(_ context.Context, _ directory.Actor, domain, _ string, _ int) ([]string, error) {
	return f.accounts[domain], nil
}

func (f *fake) ListHomes(context.Context, directory.Actor, string, int) ([]directory.HomeTenant, error) {
	var out []directory.HomeTenant
	for _, h := range f.homes {
		out = append(out, h)
	}
	return out, f.fail
}

func (f *fake) PutHome(_ context.Context, _ directory.Actor, h directory.HomeTenant, add, _ []mail.Address) (directory.HomeTenant, error) {
	f.homes[h.Domain] = h
	for _, a := range add {
		f.accounts[h.Domain] = append(f.accounts[h.Domain], a.String())
	}
	return h, f.fail
}

func (f *fake) ListGroups(_ context.Context, _ directory.Actor, after directory.GroupID, limit int) ([]directory.Group, error) {
	var out []directory.Group
	for _, g := range []directory.Group{{ID: "g1", DisplayName: "Partners", Description: "All of them"}, {ID: "g2", DisplayName: "Projects"}} {
		if g.ID > after && len(out) < limit {
			out = append(out, g)
		}
	}
	return out, f.fail
}

func (f *fake) ListApps(context.Context, directory.Actor, directory.AppID, int) ([]directory.App, error) {
	return []directory.App{{ID: "a1", AppID: "c1", DisplayName: "Expenses", Homepage: "https://expenses.contoso.example/"}}, f.fail
}

// keyring counts rotations.
type keyring struct{ f *fake }

func (k keyring) List() []tokens.KeyInfo {
	return []tokens.KeyInfo{{ID: "k1", Alg: "EdDSA", State: tokens.Active, Created: t0}, {ID: "k0", Alg: "EdDSA", State: tokens.Retired, Created: t0, Retires: t0.Add(time.Hour)}}
}

func (k keyring) Rotate(time.Time) error {
	k.f.rotated++
	return k.f.fail
}

func (f *fake) handler() *Handler {
	return &Handler{
		Invitations: f, Tenants: f, Sessions: f, Keys: keyring{f}, Tenant: tenantID, Now: func() time.Time { return t0 }, Log: slog.New(slog.DiscardHandler),
		NewSession: func() string { return "fresh session" },
		Advance:    func(d time.Duration) time.Time { return t0.Add(d) },
		Alarms: func() []outbox.Alarm {
			return []outbox.Alarm{{Relay: "relay:587", Since: t0, Count: 3, Last: mail.Attempt{Stage: mail.StageAuth, Code: 535, Enhanced: "5.7.8", Text: "Who are you"}}}
		},
	}
}

func (f *fake) face() http.Handler {
	mux := http.NewServeMux()
	f.handler().Mount(mux)
	return web.RequestIDs(func() string { return requestID })(mux)
}

// call sends one request as the application; header fields follow as name,
// value, name, value.
func (f *fake) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, base+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5000"
	r.Header.Set("Authorization", "Bearer app")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.face().ServeHTTP(w, r)
	return w
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Indent(&b, got, "", "  "), "%s", got)
	b.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test -update to create it")
	require.Equal(t, string(want), b.String())
}
