package graph

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/session"
	"invited/server/tenant"
	"invited/server/web"
)

func TestShapes(t *testing.T) {
	const full = `{"@odata.type":"#microsoft.graph.invitation","invitedUserEmailAddress":"ana@fabrikam.example","inviteRedirectUrl":"https://app.contoso.example/",
		"invitedUserDisplayName":"Ana","sendInvitationMessage":true,"invitedUserMessageInfo":{"messageLanguage":"en-US","customizedMessageBody":"Hi & welcome",
		"ccRecipients":[{"emailAddress":{"name":null,"address":"boss@fabrikam.example"}}]}}`
	const small = `{"invitedUserEmailAddress":"ana@fabrikam.example","inviteRedirectUrl":"https://app.contoso.example/"}`
	none := []string{"Accept", "application/json;odata.metadata=none"}
	tests := []struct {
		name, method, url, body string
		header                  []string
		status                  int
		golden                  string
	}{
		{"an invitation with everything", "POST", "/v1.0/invitations", full, nil, 201, "invitation_full.json"},
		{"an invitation with the least", "POST", "/v1.0/invitations", small, nil, 201, "invitation_small.json"},
		{"an invitation without annotations", "POST", "/beta/" + tenantID + "/invitations", small, none, 201, "invitation_bare.json"},
		{"a user in the standard selection", "GET", "/v1.0/users/" + string(userID(0)), "", nil, 200, "user_standard.json"},
		{"a user in a selection", "GET", "/v1.0/users/" + string(userID(0)) + "?$select=id,userType,externalUserState,externalUserStateChangeDateTime,creationType,accountEnabled,identities,otherMails,proxyAddresses,department", "", nil, 200, "user_selected.json"},
		{"a page of users", "GET", "/v1.0/users?$select=id,companyName&$top=2&$count=true", "", []string{"ConsistencyLevel", "eventual"}, 200, "users_page.json"},
		{"a page of users without annotations", "GET", "/v1.0/users?$select=id&$top=2", "", none, 200, "users_bare.json"},
		{"no users", "GET", "/v1.0/users?$filter=mail%20eq%20%27x%27", "", nil, 200, "users_none.json"},
		{"deleted users", "GET", "/v1.0/directory/deletedItems/graph.user?$select=id,deletedDateTime", "", nil, 200, "deleted.json"},
		{"a restored user", "POST", "/v1.0/directory/deletedItems/" + string(userID(4)) + "/restore", "", nil, 200, "restored.json"},
		{"the organisation", "GET", "/v1.0/organization", "", nil, 200, "organization.json"},
		{"oneself", "GET", "/v1.0/me?$select=userPrincipalName", "", []string{"Authorization", "Bearer person"}, 200, "me.json"},
		{"a failure", "GET", "/v1.0/users/" + missingID, "", []string{"client-request-id", requestID}, 404, "error.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newFake().call(t, tt.method, tt.url, tt.body, tt.header...)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			golden(t, tt.golden, w.Body.Bytes())
			require.Equal(t, requestID, w.Header().Get("request-id"))
		})
	}
}

func TestInvitationIsTranslated(t *testing.T) {
	base := `"invitedUserEmailAddress":"ana@fabrikam.example","inviteRedirectUrl":"https://a.example"`
	want := invite.Request{Email: "ana@fabrikam.example", RedirectURL: "https://a.example", UserType: directory.Guest}
	tests := []struct {
		name, members string
		change        func(*invite.Request)
	}{
		{"with nothing more", "", func(*invite.Request) {}},
		{"with nulls", `,"invitedUserDisplayName":null,"sendInvitationMessage":null,"invitedUserMessageInfo":null,"invitedUser":null,"invitedUserType":null`, func(*invite.Request) {}},
		{"with members nobody knows", `,"@odata.type":"#microsoft.graph.invitation","foo":[1]`, func(*invite.Request) {}},
		{"with an empty language", `,"invitedUserMessageInfo":{"messageLanguage":""}`, func(*invite.Request) {}},
		{"with our own empty recipient", `,"invitedUserMessageInfo":{"ccRecipients":[{"emailAddress":{"name":null,"address":null}}]}`, func(*invite.Request) {}},
		{"as a member", `,"invitedUserType":"member"`, func(r *invite.Request) { r.UserType = directory.Member }},
		{
			"with an address given twice, the last counts whole",
			`,"invitedUserMessageInfo":{"ccRecipients":[{"emailAddress":{"name":"First","address":"a@x.example"},"emailAddress":{"address":"b@x.example"}}]}`,
			func(r *invite.Request) { r.CC = "b@x.example" },
		},
		{
			"with a whole user to reset", `,"resetRedemption":true,"invitedUser":{"id":"0190D4C0-0000-7000-8000-000000000001","displayName":"Ana","sponsors":[]}`,
			func(r *invite.Request) { r.ResetRedemption, r.User = true, userID(1) },
		},
		{
			"with sponsors by link and by id",
			`,"invitedUserSponsors":[{"id":"0190d4c0-0000-7000-8000-000000000001"}],"invitedUserSponsors@odata.bind":["https://graph.microsoft.com/v1.0/users/0190d4c0-0000-7000-8000-000000000002","/users('0190d4c0-0000-7000-8000-000000000003')"]`,
			func(r *invite.Request) { r.Sponsors = []directory.UserID{userID(1), userID(2), userID(3)} },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			w := f.call(t, "POST", "/v1.0/invitations", "{"+base+tt.members+"}")
			require.Equal(t, http.StatusCreated, w.Code, "%s", w.Body)
			expected := want
			tt.change(&expected)
			require.Equal(t, expected, f.request)
			require.Equal(t, requestID, f.actor.Correlation)
		})
	}
}

func TestPathsLeadToUsers(t *testing.T) {
	const upn = "a_fabrikam.example%23EXT%23%40contoso.onmicrosoft.example"
	tests := []struct {
		name, path string
		status     int
	}{
		{"by id", "/v1.0/users/" + string(userID(0)), 200},
		{"by id in capitals", "/v1.0/users/" + strings.ToUpper(string(userID(0))), 200},
		{"by name, all escaped", "/v1.0/users/" + upn, 200},
		{"by name, at sign bare", "/v1.0/users/a_fabrikam.example%23EXT%23@contoso.onmicrosoft.example", 200},
		{"by key in parentheses", "/v1.0/users('" + upn + "')", 200},
		{"under a tenant's id", "/v1.0/" + tenantID + "/users/" + upn, 200},
		{"under a tenant's domain", "/beta/contoso.example/users/" + upn, 200},
		{"under myorganization", "/v1.0/myorganization/users/" + upn, 200},
		{"in capitals", "/v1.0/Users/" + upn, 200},
		{"under another tenant", "/v1.0/" + missingID + "/users/" + upn, 404},
		{"a deleted one is gone", "/v1.0/users/" + string(userID(4)), 404},
		{"a name nobody has", "/v1.0/users/x@contoso.example", 404},
		{"no name at all", "/v1.0/users/x", 404},
		{"a very long name", "/v1.0/users/" + strings.Repeat("x", 2000) + "@x", 404},
		{"its manager", "/v1.0/users/" + upn + "/manager", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newFake().call(t, "GET", tt.path, "")
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			if tt.status == 404 {
				require.Equal(t, "Request_ResourceNotFound", errorOf(t, w).Code)
			}
		})
	}
}

func TestUserIsChanged(t *testing.T) {
	text := func(s string) *string { return &s }
	yes, guest := true, directory.Guest
	tests := []struct {
		name, body string
		want       tenant.Patch
	}{
		{"in nothing", `{}`, tenant.Patch{}},
		{"as Terraform probes", `{"@odata.type":"#microsoft.graph.user","companyName":"TERRAFORM_UPDATE_x"}`, tenant.Patch{CompanyName: text("TERRAFORM_UPDATE_x")}},
		{"back to nothing", `{"companyName":null,"jobTitle":null,"department":null}`, tenant.Patch{CompanyName: text(""), JobTitle: text("")}},
		{
			"in everything",
			`{"displayName":"A","givenName":"B","surname":"C","jobTitle":"D","companyName":"E","mail":"a@b.example","otherMails":["c@d.example"],"userType":"Guest","accountEnabled":true,"preferredLanguage":"de"}`,
			tenant.Patch{
				DisplayName: text("A"), GivenName: text("B"), Surname: text("C"), JobTitle: text("D"), CompanyName: text("E"), Mail: text("a@b.example"),
				OtherMails: &[]string{"c@d.example"}, UserType: &guest, Enabled: &yes, PreferredLanguage: text("de"),
			},
		},
		{"to no other addresses", `{"otherMails":null}`, tenant.Patch{OtherMails: &[]string{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			w := f.call(t, "PATCH", "/v1.0/users/"+string(userID(0)), tt.body)
			require.Equal(t, 204, w.Code, "%s", w.Body)
			require.Empty(t, w.Body.String())
			require.Equal(t, tt.want, f.patch)
		})
	}
}

func TestUserLifeCycle(t *testing.T) {
	f := newFake()
	face := "/v1.0/directory/deletedItems/"
	id := string(userID(1))
	steps := []struct {
		name, method, url string
		status            int
	}{
		{"a live user is no deleted item", "GET", face + id, 404},
		{"delete", "DELETE", "/v1.0/users/" + id, 204},
		{"gone from users", "GET", "/v1.0/users/" + id, 404},
		{"deleting again finds nothing", "DELETE", "/v1.0/users/" + id, 404},
		{"among deleted items", "GET", face + id, 200},
		{"restore", "POST", face + id + "/restore", 200},
		{"back among users", "GET", "/v1.0/users/" + id, 200},
		{"purging a live user finds nothing", "DELETE", face + id, 404},
		{"delete again", "DELETE", "/v1.0/users/" + id, 204},
		{"purge", "DELETE", face + id, 204},
		{"gone for good", "POST", face + id + "/restore", 404},
	}
	for _, s := range steps {
		w := f.call(t, s.method, s.url, "")
		require.Equal(t, s.status, w.Code, "%s: %s", s.name, w.Body)
		if s.status == 204 {
			require.Empty(t, w.Body.String(), s.name)
		}
	}
}

func TestPagingReachesEveryoneOnce(t *testing.T) {
	f := newFake()
	next, all := "/v1.0/users?$select=id&$top=1&$filter=userType%20in%20%28%27Guest%27,%27Member%27%29", ""
	for range 10 {
		var digits string
		digits, next = ids(t, f.call(t, "GET", next, ""))
		all += digits
		if next == "" {
			break
		}
	}
	require.Equal(t, "0123", all)
}

func TestWalkIsBounded(t *testing.T) {
	f := &fake{}
	for i := range 5000 {
		f.users = append(f.users, directory.User{ID: userID(i), CompanyName: map[bool]string{true: "Last"}[i == 4999]})
	}
	next, pages, found := "/v1.0/users?$select=id&$filter=companyName%20eq%20%27Last%27", 0, ""
	for next != "" {
		var digits string
		f.queries = nil
		digits, next = ids(t, f.call(t, "GET", next, ""))
		found += digits
		pages++
		read := 0
		for _, q := range f.queries {
			read += q.Limit
		}
		require.LessOrEqual(t, read, maxScan+web.MaxTop)
	}
	require.Equal(t, "9", found)
	require.Equal(t, 3, pages, "2,000 rows a request, empty pages included")
	w := f.call(t, "GET", "/v1.0/users?$orderby=displayName", "")
	require.Equal(t, "$orderby", errorOf(t, w).Target)
}

func TestListing(t *testing.T) {
	eventual := []string{"ConsistencyLevel", "eventual"}
	tests := []struct {
		name, query string
		header      []string
		want        string
	}{
		{"all", "", nil, "0123"},
		{"guests", "$filter=userType+eq+'Guest'", nil, "012"},
		{"by one address or another", "$filter=mail+eq+'c@fabrikam.example'+or+userPrincipalName+eq+'member@contoso.example'+or+mail+in+('c@fabrikam.example')", nil, "23"},
		{"advanced", "$filter=userType+ne+'Guest'&$count=true", eventual, "3"},
		{"sorted", "$orderby=createdDateTime", nil, "3210"},
		{"sorted downwards", "$orderby=displayName+desc", nil, "3210"},
		{"sorted and filtered", "$orderby=mail+desc&$filter=userType+eq+'Guest'&$count=true", eventual, "210"},
		{"an option that is none of OData's", "api-version=1", nil, "0123"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, next := ids(t, newFake().call(t, "GET", "/v1.0/users?$select=id&"+tt.query, "", tt.header...))
			require.Equal(t, tt.want, got)
			require.Empty(t, next)
		})
	}
}

func TestSortedPages(t *testing.T) {
	f := newFake()
	got, next := ids(t, f.call(t, "GET", "/v1.0/users?$select=id&$orderby=displayName+desc&$top=3", ""))
	require.Equal(t, "321", got)
	got, next = ids(t, f.call(t, "GET", next, ""))
	require.Equal(t, "0", got)
	require.Empty(t, next)
}

func TestCount(t *testing.T) {
	w := newFake().call(t, "GET", "/v1.0/users/$count?$filter=userType%20eq%20'Guest'", "", "ConsistencyLevel", "eventual")
	require.Equal(t, "3", w.Body.String())
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
}

func TestOnceWrapsPosts(t *testing.T) {
	f := newFake()
	calls := 0
	h := &Handler{Sessions: f, Invitations: f, Tenants: f, Once: func(next web.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			calls++
			return next(w, r)
		}
	}}
	require.NoError(t, h.once(func(http.ResponseWriter, *http.Request) error { return nil })(nil, nil))
	require.Equal(t, 1, calls)
}

func BenchmarkListUsers(b *testing.B) {
	f := &fake{}
	for i := range 5000 {
		f.users = append(f.users, directory.User{ID: userID(i), DisplayName: "Ana", Mail: "ana@fabrikam.example", Type: directory.Guest})
	}
	face := f.face()
	r, _ := http.NewRequest(http.MethodGet, "http://localhost/v1.0/users?$filter=userType%20eq%20'Guest'&$top=100", nil)
	r.Header.Set("Authorization", "Bearer app")
	b.ReportAllocs()
	for b.Loop() {
		f.queries = f.queries[:0]
		face.ServeHTTP(newRecorder(), r)
	}
}

func BenchmarkCreateInvitation(b *testing.B) {
	face := newFake().face()
	const body = `{"invitedUserEmailAddress":"ana@fabrikam.example","inviteRedirectUrl":"https://app.contoso.example/","sendInvitationMessage":true}`
	b.ReportAllocs()
	for b.Loop() {
		r, _ := http.NewRequest(http.MethodPost, "http://localhost/v1.0/invitations", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer app")
		r.Header.Set("Content-Type", "application/json")
		face.ServeHTTP(newRecorder(), r)
	}
}

// FuzzCreateInvitation checks that no body is our fault.
func FuzzCreateInvitation(f *testing.F) {
	f.Add(`{"invitedUserEmailAddress":"a@b.example","inviteRedirectUrl":"https://a.example"}`)
	f.Add(`{"invitedUserMessageInfo":{"ccRecipients":[{"emailAddress":{"address":1}}]}}`)
	f.Add(`{"invitedUserSponsors@odata.bind":["/"]}`)
	f.Fuzz(func(t *testing.T, body string) {
		w := newFake().call(t, "POST", "/v1.0/invitations", body, "Content-Type", "application/json")
		require.Contains(t, []int{201, 400}, w.Code, "%s", w.Body)
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}

// FuzzPath checks that no path and query make the face fail as our fault.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/users/a%23@b", "/users('x')", "//users", "/users?$filter=a&$select=,", "/directory/deletedItems/%2e%2e/restore", "/x/users?%zz"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequest(http.MethodGet, "http://localhost/v1.0"+path, nil)
		if err != nil || strings.ContainsAny(path, "\r\n") || !strings.HasPrefix(r.URL.Path, "/v1.0/") {
			return
		}
		r.Header.Set("Authorization", "Bearer app")
		w := newRecorder()
		newFake().face().ServeHTTP(w, r)
		require.Less(t, w.Code, 500, "%s", w.Body)
	})
}

// The services are what this face asks for.
var (
	_ Sessions    = (*session.Service)(nil)
	_ Invitations = (*invite.Service)(nil)
	_ Tenants     = (*tenant.Service)(nil)
)
