package graph

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/problem"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func TestRefusals(t *testing.T) {
	const good = `"invitedUserEmailAddress":"ana@fabrikam.example","inviteRedirectUrl":"https://a.example"`
	person := []string{"Authorization", "Bearer person"}
	tests := []struct {
		name, method, url, body string
		header                  []string
		status                  int
		code, target, message   string
	}{
		{name: "no token", method: "GET", url: "/v1.0/users", header: []string{"Authorization", ""}, status: 401, code: "InvalidAuthenticationToken", target: "Authorization", message: "Bearer"},
		{name: "a token nobody issued", method: "GET", url: "/v1.0/users", header: []string{"Authorization", "Bearer x"}, status: 401, code: "InvalidAuthenticationToken", message: "not valid"},
		{name: "an unknown resource", method: "GET", url: "/v1.0/teams", status: 404, code: "BadRequest", target: "path", message: "Resource not found for the segment 'teams'."},
		{name: "an unknown resource of a user", method: "GET", url: "/v1.0/users/x/photo", status: 404, code: "BadRequest", target: "path", message: "'photo'"},
		{name: "nothing but the version", method: "GET", url: "/v1.0/", status: 404, code: "BadRequest", target: "path", message: "segment ''"},
		{name: "invitations cannot be listed", method: "GET", url: "/v1.0/invitations", status: 405, code: "MethodNotAllowed", target: "method", message: "POST only"},
		{name: "a count cannot be deleted", method: "DELETE", url: "/v1.0/users/$count", status: 405, code: "MethodNotAllowed", target: "method", message: "GET only"},
		{name: "a program has no self", method: "GET", url: "/v1.0/me", status: 400, code: "BadRequest", target: "Authorization", message: "delegated authentication flow"},

		{name: "an unknown query option", method: "GET", url: "/v1.0/users?$skip=5", status: 400, code: "Request_BadRequest", target: "$skip", message: "$skip is not supported"},
		{name: "an unknown selected property", method: "GET", url: "/v1.0/users?$select=id,nickname", status: 400, code: "Request_BadRequest", target: "$select", message: "'nickname'"},
		{name: "an unknown filtered property", method: "GET", url: "/v1.0/users?$filter=nickname+eq+'x'", status: 400, code: "Request_BadRequest", target: "$filter", message: "'nickname'"},
		{name: "an empty filter", method: "GET", url: "/v1.0/users?$filter=", status: 400, code: "Request_BadRequest", target: "$filter", message: "the end"},
		{name: "a page of none", method: "GET", url: "/v1.0/users?$top=0", status: 400, code: "Request_BadRequest", target: "$top", message: "1 to 999"},
		{name: "a foreign page token", method: "GET", url: "/v1.0/users?$skiptoken=abc", status: 400, code: "Request_BadRequest", target: "$skiptoken", message: "does not belong"},
		{name: "a count that is no bool", method: "GET", url: "/v1.0/users?$count=yes", status: 400, code: "Request_BadRequest", target: "$count", message: "true or false"},
		{name: "an unsortable property", method: "GET", url: "/v1.0/users?$orderby=userType", status: 400, code: "Request_BadRequest", target: "$orderby", message: "displayName"},
		{name: "a third direction", method: "GET", url: "/v1.0/users?$orderby=mail+sideways", status: 400, code: "Request_BadRequest", target: "$orderby", message: "asc or desc"},
		{name: "an advanced query without header", method: "GET", url: "/v1.0/users?$filter=userType+ne+'Guest'&$count=true", status: 400, code: "Request_UnsupportedQuery", target: "ConsistencyLevel", message: "Unsupported Query"},
		{name: "an advanced query without count", method: "GET", url: "/v1.0/users?$filter=userType+ne+'Guest'", header: []string{"ConsistencyLevel", "eventual"}, status: 400, code: "Request_UnsupportedQuery", target: "ConsistencyLevel", message: "$count=true"},
		{name: "counting without header", method: "GET", url: "/v1.0/users/$count", status: 400, code: "Request_UnsupportedQuery", target: "ConsistencyLevel", message: "Unsupported Query"},
		{name: "a query that does not parse", method: "GET", url: "/v1.0/users?$filter=%25%zz", status: 400, code: "Request_BadRequest", target: "query", message: "percent-encode"},

		{name: "a change of an unknown property", method: "PATCH", url: "/v1.0/users/" + string(userID(0)), body: `{"nickname":"x"}`, status: 400, code: "Request_BadRequest", target: "nickname", message: "does not exist"},
		{name: "a change of a fixed property", method: "PATCH", url: "/v1.0/users/" + string(userID(0)), body: `{"userPrincipalName":"x"}`, status: 400, code: "Request_BadRequest", target: "userPrincipalName", message: "cannot be changed"},
		{name: "a change of a property that is not held", method: "PATCH", url: "/v1.0/users/" + string(userID(0)), body: `{"department":"Sales"}`, status: 400, code: "Request_BadRequest", target: "department", message: "not kept"},
		{name: "a change to a wrong type", method: "PATCH", url: "/v1.0/users/" + string(userID(0)), body: `{"jobTitle":5}`, status: 400, code: "Request_BadRequest", target: "jobTitle", message: "a string or null"},
		{name: "an account neither enabled nor disabled", method: "PATCH", url: "/v1.0/users/" + string(userID(0)), body: `{"accountEnabled":null}`, status: 400, code: "Request_BadRequest", target: "accountEnabled", message: "true or false"},
		{name: "a list of other things than texts", method: "PATCH", url: "/v1.0/users/" + string(userID(0)), body: `{"otherMails":[1]}`, status: 400, code: "Request_BadRequest", target: "otherMails", message: "an array of strings"},
		{name: "a change of nobody", method: "PATCH", url: "/v1.0/users/" + missingID, body: `{"jobTitle":null}`, status: 404, code: "Request_ResourceNotFound", target: "id", message: "does not exist"},

		{name: "no address", method: "POST", url: "/v1.0/invitations", body: `{"inviteRedirectUrl":"https://a.example"}`, status: 400, code: "BadRequest", target: "invitedUserEmailAddress", message: "required"},
		{name: "no redirect", method: "POST", url: "/v1.0/invitations", body: `{"invitedUserEmailAddress":"a@b.example"}`, status: 400, code: "BadRequest", target: "inviteRedirectUrl", message: "required"},
		{name: "an unknown user type", method: "POST", url: "/v1.0/invitations", body: `{` + good + `,"invitedUserType":"Admin"}`, status: 400, code: "BadRequest", target: "invitedUserType", message: "Guest or Member"},
		{name: "a reset of nobody", method: "POST", url: "/v1.0/invitations", body: `{` + good + `,"resetRedemption":true}`, status: 400, code: "BadRequest", target: "invitedUser", message: "invitedUser.id"},
		{name: "a user without reset", method: "POST", url: "/v1.0/invitations", body: `{` + good + `,"invitedUser":{"id":"x"}}`, status: 400, code: "BadRequest", target: "invitedUser", message: "resetRedemption"},
		{name: "two copies", method: "POST", url: "/v1.0/invitations", body: `{` + good + `,"invitedUserMessageInfo":{"ccRecipients":[{"emailAddress":{"address":"a@x.example"}},{"emailAddress":{"address":"b@x.example"}}]}}`, status: 400, code: "BadRequest", target: "invitedUserMessageInfo.ccRecipients", message: "only one"},
		{name: "a sponsor that is no id", method: "POST", url: "/v1.0/invitations", body: `{` + good + `,"invitedUserSponsors@odata.bind":["https://x/users/bo"]}`, status: 400, code: "BadRequest", target: "invitedUserSponsors", message: "'bo'"},
		{name: "a number for a deep text", method: "POST", url: "/v1.0/invitations", body: `{"invitedUserMessageInfo":{"ccRecipients":[{"emailAddress":{"address":1}}]}}`, status: 400, code: "BadRequest", target: "invitedUserMessageInfo.ccRecipients.emailAddress.address", message: "a string"},
		{name: "a list", method: "POST", url: "/v1.0/invitations", body: `[]`, status: 400, code: "BadRequest", target: "body", message: "object"},
		{name: "a form", method: "POST", url: "/v1.0/invitations", body: `a=b`, header: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, code: "UnsupportedMediaType", target: "Content-Type", message: "application/json"},
		{name: "an option on an invitation", method: "POST", url: "/v1.0/invitations?$select=id", body: `{` + good + `}`, status: 400, code: "Request_BadRequest", target: "$select", message: "leave it out"},
		{name: "an address the service refuses", method: "POST", url: "/v1.0/invitations", body: `{"invitedUserEmailAddress":"nobody","inviteRedirectUrl":"https://a.example"}`, header: person, status: 400, code: "BadRequest", target: "invitedUserEmailAddress", message: "Invalid value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newFake().call(t, tt.method, tt.url, tt.body, tt.header...)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			e := errorOf(t, w)
			require.Equal(t, tt.code, e.Code)
			require.Equal(t, tt.target, e.Target)
			require.Contains(t, e.Message, tt.message)
			require.Equal(t, requestID, e.Inner.RequestID)
			require.Equal(t, "2026-01-02T03:04:05", e.Inner.Date)
			require.Equal(t, tt.status == 401, w.Header().Get("WWW-Authenticate") != "")
		})
	}
}

func TestServiceFailuresKeepTheirMeaning(t *testing.T) {
	const body = `{"invitedUserEmailAddress":"ana@fabrikam.example","inviteRedirectUrl":"https://a.example"}`
	denied := func(r problem.Reason, detail string) error {
		return &problem.Error{Op: "x", Kind: problem.Denied, Reason: r, Detail: detail}
	}
	const notAllowed = "Guest invitations not allowed for your company. Contact your company administrator for more details."
	tests := []struct {
		name, bearer  string
		fail          error
		status        int
		code, message string
	}{
		{"a program without permission", "app", denied(problem.RoleRequired, "No."), 401, "Unauthorized", "ControllerName=MSGraphInviteAPI, ActionName=CreateInvite, URL absolute path=/api/" + tenantID + "/invites"},
		{"a person without role", "person", denied(problem.RoleRequired, "No."), 403, "Forbidden", "Generic authorization exception. No."},
		{"a tenant that forbids inviting", "person", denied(problem.InvitesNotAllowed, notAllowed), 403, "Forbidden", notAllowed},
		{
			"an internal user with the address", "app",
			&problem.Error{Op: "x", Kind: problem.Invalid, Reason: problem.AlreadyInDirectory, Detail: "The invited user already exists in the directory as object ID: " + missingID + "."},
			400, "BadRequest", "The invited user already exists in the directory as object ID: " + missingID + ".",
		},
		{"too many mails", "app", &problem.Error{Op: "x", Kind: problem.TooMany, Reason: problem.RateLimited, Detail: "Wait.", RetryAfter: 90 * time.Second}, 429, "TooManyRequests", "Wait."},
		{"a full disk", "app", &problem.Error{Op: "x", Kind: problem.Full, Reason: problem.StorageFull, Detail: "Full."}, 507, "InsufficientStorage", "Full."},
		{"a bug", "app", errors.New("secret cause"), 500, "InternalServerError", "internal error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.fail = tt.fail
			w := f.call(t, "POST", "/v1.0/invitations", body, "Authorization", "Bearer "+tt.bearer)
			require.Equal(t, tt.status, w.Code)
			e := errorOf(t, w)
			require.Equal(t, tt.code, e.Code)
			require.Equal(t, tt.message, e.Message[max(0, len(e.Message)-len(tt.message)):])
			require.NotContains(t, w.Body.String(), "secret cause")
			if tt.status == 429 {
				require.Equal(t, "90", w.Header().Get("Retry-After"))
			}
		})
	}
}

func TestEveryKindHasACode(t *testing.T) {
	for k := problem.Internal; k <= problem.NotImplemented; k++ {
		require.NotEmpty(t, codes[k], k.String())
	}
}
