package graph

import (
	"bytes"
	"context"
	"encoding/json"
	goflag "flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/mail"
	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/tenant"
	"invited/server/web"
)

var update = goflag.Bool("update", false, "rewrite the golden files")

const (
	tenantID  = "11111111-1111-7111-8111-111111111111"
	personID  = "22222222-2222-7222-8222-222222222222"
	requestID = "33333333-3333-7333-8333-333333333333"
	missingID = "99999999-9999-7999-8999-999999999999"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)

// fake is the services behind the face. Its users are sorted by id.
type fake struct {
	users   []directory.User
	request invite.Request // the last one
	actor   directory.Actor
	patch   tenant.Patch
	queries []tenant.UserQuery
	fail    error // answered by every service
}

func newFake() *fake {
	f := &fake{}
	for i := range 5 {
		name := string(rune('a' + i))
		u := directory.User{
			Tenant: tenantID, ID: userID(i), DisplayName: strings.ToUpper(name), UPN: name + "_fabrikam.example#EXT#@contoso.onmicrosoft.example",
			Mail: name + "@fabrikam.example", OtherMails: []string{name + "@fabrikam.example"}, ProxyAddresses: []string{"SMTP:" + name + "@fabrikam.example"},
			MailNickname: name + "_fabrikam.example#EXT#", Type: directory.Guest, CreationType: directory.CreatedByInvitation, State: directory.Pending,
			StateChanged: t0, Created: t0.Add(-time.Duration(i) * time.Hour), Enabled: true,
			Identities: []directory.Identity{{SignInType: "userPrincipalName", Issuer: "contoso.onmicrosoft.example", IssuerAssignedID: name}},
		}
		if i == 3 {
			u.Type, u.CreationType, u.State, u.UPN, u.Mail = directory.Member, "", directory.NotExternal, "member@contoso.example", "member@contoso.example"
			u.StateChanged, u.CompanyName = time.Time{}, `Contoso & "Sons"`
		}
		if i == 4 {
			u.Deleted = t0
		}
		f.users = append(f.users, u)
	}
	return f
}

func userID(i int) directory.UserID {
	return directory.UserID(fmt.Sprintf("0190d4c0-0000-7000-8000-%012d", i))
}

func (f *fake) Authenticate(_ context.Context, bearer string) (directory.Actor, error) {
	switch bearer {
	case "app":
		return directory.Actor{Tenant: tenantID, Application: true, ID: "app-id", Name: "Tests", Permissions: directory.AllPermissions()}, nil
	case "person":
		return directory.Actor{Tenant: tenantID, ID: string(userID(3)), Name: "member@contoso.example"}, nil
	}
	return directory.Actor{}, &problem.Error{Op: "fake", Kind: problem.Unauthenticated, Reason: problem.TokenInvalid, Detail: "The access token is not valid."}
}

func (f *fake) Create(_ context.Context, a directory.Actor, r invite.Request) (invite.Created, error) {
	f.request, f.actor = r, a
	if f.fail != nil {
		return invite.Created{}, f.fail
	}
	to, err := mail.ParseAddress(r.Email)
	if err != nil {
		return invite.Created{}, problem.BadField("fake", "invitedUserEmailAddress", "Invalid value for invitedUserEmailAddress.")
	}
	out := invite.Created{
		RedeemURL: "http://example.com/redeem?tenant=" + tenantID + "&user=inv&ticket=t&ver=2.0", User: f.users[0],
		Invitation: invite.Invitation{
			Tenant: tenantID, ID: "44444444-4444-7444-8444-444444444444", User: f.users[0].ID, Email: to, DisplayName: r.DisplayName, UserType: r.UserType,
			RedirectURL: r.RedirectURL, SendMessage: r.SendMessage, Message: r.Message, Language: r.Language, CCName: r.CCName,
		},
	}
	if r.CC != "" {
		cc, err := mail.ParseAddress(r.CC)
		if err != nil {
			return out, problem.BadField("fake", "ccRecipients", "Invalid value for ccRecipients.")
		}
		out.Invitation.CC = &cc
	}
	return out, nil
}

func (f *fake) Tenant(context.Context, directory.Actor) (directory.Tenant, error) {
	return directory.Tenant{
		ID: tenantID, DisplayName: "Contoso", PrimaryDomain: "contoso.example", InitialDomain: "contoso.onmicrosoft.example",
		Domains: []string{"contoso.example", "contoso.onmicrosoft.example"}, PrivacyURL: "https://contoso.example/privacy", Created: t0,
	}, f.fail
}

func (f *fake) find(ok func(directory.User) bool) (directory.User, error) {
	if f.fail != nil {
		return directory.User{}, f.fail
	}
	i := slices.IndexFunc(f.users, ok)
	if i < 0 {
		return directory.User{}, &problem.Error{Op: "fake", Kind: problem.NotFound, Reason: problem.Missing, Detail: "No such user."}
	}
	return f.users[i], nil
}

func (f *fake) User(_ context.Context, _ directory.Actor, id directory.UserID) (directory.User, error) {
	return f.find(func(u directory.User) bool { return u.ID == id && u.Deleted.IsZero() })
}

func (f *fake) UserByUPN(_ context.Context, _ directory.Actor, upn string) (directory.User, error) {
	return f.find(func(u directory.User) bool { return strings.EqualFold(u.UPN, upn) && u.Deleted.IsZero() })
}

func (f *fake) ListUsers(_ context.Context, _ directory.Actor, q tenant.UserQuery) ([]directory.User, error) {
	f.queries = append(f.queries, q)
	if f.fail != nil {
		return nil, f.fail
	}
	var out []directory.User
	for _, u := range f.users {
		if u.Deleted.IsZero() == q.Deleted || u.ID <= q.After ||
			q.Type != "" && u.Type != q.Type || q.State != "" && u.State != q.State || q.ID != "" && u.ID != q.ID ||
			q.UPN != "" && !strings.EqualFold(u.UPN, q.UPN) || q.Address != "" && !strings.EqualFold(u.Mail, q.Address) ||
			!strings.HasPrefix(strings.ToLower(u.Mail), strings.ToLower(q.MailPrefix)) || !strings.HasPrefix(strings.ToLower(u.DisplayName), strings.ToLower(q.NamePrefix)) {
			continue
		}
		if out = append(out, u); len(out) == q.Limit {
			break
		}
	}
	return out, nil
}

func (f *fake) UpdateUser(_ context.Context, _ directory.Actor, id directory.UserID, p tenant.Patch) (directory.User, error) {
	f.patch = p
	return f.find(func(u directory.User) bool { return u.ID == id })
}

func (f *fake) DeleteUser(_ context.Context, _ directory.Actor, id directory.UserID) error {
	if f.fail != nil {
		return f.fail
	}
	for i := range f.users {
		if f.users[i].ID == id {
			f.users[i].Deleted = t0
		}
	}
	return nil
}

func (f *fake) RestoreUser(_ context.Context, _ directory.Actor, id directory.UserID) (directory.User, error) {
	for i := range f.users {
		if f.users[i].ID == id {
			f.users[i].Deleted = time.Time{}
		}
	}
	return f.find(func(u directory.User) bool { return u.ID == id })
}

func (f *fake) PurgeUser(_ context.Context, _ directory.Actor, id directory.UserID) error {
	f.users = slices.DeleteFunc(f.users, func(u directory.User) bool { return u.ID == id })
	return f.fail
}

// face is a handler over f, as the server mounts it.
func (f *fake) face() http.Handler {
	h := &Handler{Sessions: f, Invitations: f, Tenants: f, Now: func() time.Time { return t0 }, Log: slog.New(slog.DiscardHandler)}
	mux := http.NewServeMux()
	h.Mount(mux)
	return web.RequestIDs(func() string { return requestID })(mux)
}

// call sends one request as the application; header fields follow as name,
// value, name, value.
func (f *fake) call(t *testing.T, method, url, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
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

// golden compares a JSON answer, indented, with testdata/name.
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

// errorOf decodes a Graph error.
func errorOf(t *testing.T, w *httptest.ResponseRecorder) errorJSON {
	t.Helper()
	var body map[string]errorJSON
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), "%s", w.Body)
	require.Contains(t, body, "error")
	return body["error"]
}

// ids returns the ids of a collection's rows, by their last digit.
func ids(t *testing.T, w *httptest.ResponseRecorder) (digits, next string) {
	t.Helper()
	require.Equal(t, 200, w.Code, "%s", w.Body)
	var body struct {
		Next  string `json:"@odata.nextLink"`
		Value []struct {
			ID string `json:"id"`
		} `json:"value"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	for _, v := range body.Value {
		digits += v.ID[len(v.ID)-1:]
	}
	return digits, body.Next
}
