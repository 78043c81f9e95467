package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"invited/server/directory"
	"invited/server/invite"
	"invited/server/problem"
	"invited/server/web"
)

const (
	first = "0290d4c0-0000-7000-8000-000000000009" // invitation of a@fabrikam.example
	third = "0290d4c0-0000-7000-8000-000000000007" // accepted
)

func TestShapes(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		status                   int
		golden                   string
	}{
		{"a page of invitations", "GET", "/invitations?$top=1", "", 200, "invitations.json"},
		{"an invitation", "GET", "/invitations/" + first, "", 200, "invitation.json"},
		{"a new invitation", "POST", "/invitations", `{"email":"a@fabrikam.example","groups":["Partners"]}`, 201, "created.json"},
		{"a resent invitation", "POST", "/invitations/" + first + "/resend", "", 200, "resent.json"},
		{"a revoked invitation", "POST", "/guests/a%40fabrikam.example/revoke", "{}", 200, "revoked.json"},
		{"deliveries", "GET", "/invitations/" + first + "/deliveries", "", 200, "deliveries.json"},
		{"the outbox", "GET", "/outbox?state=delivered&$top=1", "", 200, "outbox.json"},
		{"a mail", "GET", "/outbox/d1", "", 200, "mail.json"},
		{"a mail sent again", "POST", "/outbox/d1/redrive", "", 200, "redriven.json"},
		{"events", "GET", "/invitations/" + first + "/events?$top=2", "", 200, "events.json"},
		{"a diagnosis", "GET", "/guests/a@fabrikam.example/diagnosis", "", 200, "diagnosis.json"},
		{"a redemption", "GET", "/redemptions?ticket=good", "", 200, "redemption.json"},
		{"an accepted redemption", "POST", "/redemptions", `{"ticket":"good","accept":true}`, 200, "redeemed.json"},
		{"a code that was mailed", "POST", "/redemptions/codes", `{"ticket":"good"}`, 202, "code.json"},
		{"a preflight", "POST", "/preflight", `{"email":"a@fabrikam.example"}`, 200, "preflight.json"},
		{"a home organisation", "PUT", "/homes/Fabrikam.example", `{"displayName":"Fabrikam","allowEmailVerifiedUsers":false,"addAccounts":["a@fabrikam.example"]}`, 200, "home.json"},
		{"no home organisations", "GET", "/homes", "", 200, "homes.json"},
		{"the policy", "GET", "/policy", "", 200, "policy.json"},
		{"groups", "GET", "/groups?$top=1", "", 200, "groups.json"},
		{"apps", "GET", "/apps", "", 200, "apps.json"},
		{"roles", "GET", "/roles", "", 200, "roles.json"},
		{"keys", "GET", "/keys", "", 200, "keys.json"},
		{"the clock", "POST", "/clock", `{"advance":"720h"}`, 200, "clock.json"},
		{"a failure", "GET", "/guests/nobody@fabrikam.example/diagnosis", "", 404, "error.json"},
		{"the failure of a link", "GET", "/redemptions?ticket=bad", "", 410, "error_link.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newFake().call(tt.method, tt.path, tt.body)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			golden(t, tt.golden, w.Body.Bytes())
		})
	}
}

func TestRefusals(t *testing.T) {
	const none = "-"
	tests := []struct {
		name, method, path, body string
		header                   []string
		status                   int
		target, says             string
	}{
		{name: "no token", method: "GET", path: "/invitations", header: []string{"Authorization", ""}, status: 401, target: "Authorization", says: "Bearer"},
		{name: "a token nobody issued", method: "GET", path: "/policy", header: []string{"Authorization", "Bearer x"}, status: 401, target: none, says: "does not verify"},
		{name: "an unknown path", method: "GET", path: "/nothing", status: 404, target: "path", says: "nothing at this address"},
		{name: "another method", method: "DELETE", path: "/invitations", status: 405, target: "method", says: "GET, HEAD, POST only"},
		{name: "an unknown parameter", method: "GET", path: "/invitations?status=open", status: 400, target: "status", says: "known are state, q"},
		{name: "a parameter where none is taken", method: "GET", path: "/policy?x=1", status: 400, target: "x", says: "takes none"},
		{name: "an unknown state", method: "GET", path: "/invitations?state=lost", status: 400, target: "state", says: "pending"},
		{name: "an unknown fate", method: "GET", path: "/outbox?state=lost", status: 400, target: "state", says: "queued, sending"},
		{name: "a mail that is not there", method: "GET", path: "/outbox/d9", status: 404, target: none, says: "no such mail"},
		{name: "a body where none is wanted", method: "POST", path: "/outbox/d1/redrive", body: `{"id":"d1"}`, status: 400, target: "id", says: "not a member"},
		{name: "a page of none", method: "GET", path: "/invitations?$top=0", status: 400, target: "$top", says: "1 to 999"},
		{name: "a foreign page token", method: "GET", path: "/groups?$skiptoken=" + web.SkipToken("apps", "a1"), status: 400, target: "$skiptoken", says: "does not belong"},
		{name: "no address", method: "POST", path: "/invitations", body: `{}`, status: 400, target: "email", says: "required"},
		{name: "a misspelt member", method: "POST", path: "/invitations", body: `{"email":"a@b.example","group":["x"]}`, status: 400, target: "group", says: "not a member of this request"},
		{name: "an address the service refuses, by our name for it", method: "POST", path: "/invitations", body: `{"email":"a"}`, status: 400, target: "email", says: "Invalid value for email:"},
		{name: "a list for a text", method: "POST", path: "/invitations", body: `{"email":["a"]}`, status: 400, target: "email", says: "a string"},
		{name: "a body that is no JSON", method: "POST", path: "/invitations/" + first + "/resend", body: `{`, status: 400, target: "body", says: "ends early"},
		{name: "a form", method: "POST", path: "/guests/x/revoke", body: `a=b`, header: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, target: "Content-Type", says: "application/json"},
		{name: "a guest nobody knows", method: "POST", path: "/guests/x/resend", status: 404, target: none, says: "Nobody"},
		{name: "no ticket", method: "GET", path: "/redemptions", status: 400, target: "ticket", says: "required"},
		{name: "no address to look ahead for", method: "POST", path: "/preflight", body: `{}`, status: 400, target: "email", says: "required"},
		{name: "codes that live for ever", method: "PUT", path: "/policy", body: `{"codeLifetime":"for ever"}`, status: 400, target: "codeLifetime", says: "such as 10m"},
		{name: "neither accept nor decline", method: "POST", path: "/redemptions", body: `{"ticket":"good"}`, status: 400, target: "accept", says: "required"},
		{name: "a home organisation nobody knows", method: "GET", path: "/homes/fabrikam.example", status: 404, target: none, says: "Nothing is known"},
		{name: "an account that is no address", method: "PUT", path: "/homes/fabrikam.example", body: `{"addAccounts":["ana@fabrikam.example","x"]}`, status: 400, target: "addAccounts", says: "addAccounts[1]"},
		{name: "an unknown policy", method: "PUT", path: "/policy", body: `{"fallback":"sms"}`, status: 400, target: "fallback", says: "link, otp or none"},
		{name: "a lifetime that is none", method: "PUT", path: "/policy", body: `{"linkLifetime":"30 days"}`, status: 400, target: "linkLifetime", says: "720h"},
		{name: "a token without the local credential", method: "POST", path: "/token", body: `{"as":"admin@contoso.example"}`, status: 403, target: "Authorization", says: "local credential"},
		{name: "keys without a role", method: "POST", path: "/keys/rotate", header: []string{"Authorization", "Bearer person"}, status: 403, target: none, says: "Global Administrator"},
		{name: "a clock that goes backwards", method: "POST", path: "/clock", body: `{"advance":"-1h"}`, status: 400, target: "advance", says: "more than nothing"},
		{name: "a clock that goes too far", method: "POST", path: "/clock", body: `{"advance":"1000000h"}`, status: 400, target: "advance", says: "ten years"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newFake().call(tt.method, tt.path, tt.body, tt.header...)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			var body map[string]errorJSON
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			e := body["error"]
			if tt.target != none {
				require.Equal(t, tt.target, e.Target)
			}
			require.Contains(t, e.Message, tt.says)
			require.NotEmpty(t, e.Code)
			require.NotEmpty(t, e.Remedy)
			require.Equal(t, "docs/troubleshooting.md#"+e.Reason, e.Docs)
			require.Equal(t, requestID, e.Inner.RequestID)
		})
	}
}

func TestFailuresKeepTheirMeaning(t *testing.T) {
	tests := []struct {
		name   string
		fail   error
		status int
		retry  string
	}{
		{"too many mails", &problem.Error{Kind: problem.TooMany, Reason: problem.RateLimited, Detail: "Wait.", RetryAfter: time.Minute}, 429, "60"},
		{"a full disk", &problem.Error{Kind: problem.Full, Reason: problem.StorageFull, Detail: "Full."}, 507, ""},
		{"a bug", errors.New("secret cause"), 500, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.fail = tt.fail
			w := f.call("POST", "/invitations/"+first+"/resend", "")
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.retry, w.Header().Get("Retry-After"))
			require.NotContains(t, w.Body.String(), "secret cause")
		})
	}
}

func TestWordsFollowTheCaller(t *testing.T) {
	f := newFake()
	english := f.call("GET", "/guests/a@fabrikam.example/diagnosis", "", "Accept-Language", "fr, en;q=0.5").Body.String()
	german := f.call("GET", "/guests/a@fabrikam.example/diagnosis", "", "Accept-Language", "de-AT").Body.String()
	require.NotEqual(t, english, german)
	require.Contains(t, german, "Fabrikam"[1:], "the guest's domain is named")
}

func TestStatesAndPrefixesSelect(t *testing.T) {
	tests := []struct {
		query string
		want  []string
	}{
		{"", []string{"a", "b", "c", "d"}},
		{"state=open", []string{"a", "b", "d"}},
		{"state=accepted", []string{"c"}},
		{"state=revoked", nil},
		{"q=B%40", []string{"b"}},
		{"state=pending&$top=2", []string{"a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			w := newFake().call("GET", "/invitations?"+tt.query, "")
			require.Equal(t, 200, w.Code, "%s", w.Body)
			var page pageJSON[invitationJSON]
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
			var got []string
			for _, i := range page.Value {
				got = append(got, i.Email[:1])
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestPagesReachEverythingOnce(t *testing.T) {
	f := newFake()
	path, got := "/invitations?$top=1", ""
	for range 10 {
		var page pageJSON[invitationJSON]
		require.NoError(t, json.Unmarshal(f.call("GET", path, "").Body.Bytes(), &page))
		for _, i := range page.Value {
			got += i.Email[:1]
		}
		if page.Next == "" {
			break
		}
		path = page.Next[len("http://example.com"+base):]
	}
	require.Equal(t, "abcd", got)
}

func TestInvitingIsTranslated(t *testing.T) {
	f := newFake()
	w := f.call("POST", "/invitations", `{"email":"a@b.example","displayName":"A","redirectUrl":"https://x.example","userType":"Guest","sendMessage":false,"message":"Hi","language":"de",
		"cc":"c@b.example","ccName":"C","groups":["g"],"roles":["r"],"apps":["p"],"sponsors":["0190D4C0-0000-7000-8000-000000000001"]}`)
	require.Equal(t, http.StatusCreated, w.Code, "%s", w.Body)
	require.Equal(t, invite.Request{
		Email: "a@b.example", DisplayName: "A", RedirectURL: "https://x.example", UserType: directory.Guest, Message: "Hi", Language: "de", CC: "c@b.example", CCName: "C",
		Groups: []string{"g"}, Roles: []string{"r"}, Apps: []string{"p"}, Sponsors: []directory.UserID{"0190d4c0-0000-7000-8000-000000000001"},
	}, f.request)
}

func TestResend(t *testing.T) {
	sorry, nothing := "Sorry.", ""
	tests := []struct {
		name, path, body string
		ref              string
		message          *string
	}{
		{"says the same again", "/invitations/" + first + "/resend", "", first, nil},
		{"finds the guest by address", "/guests/a@fabrikam.example/resend", "{}", "a@fabrikam.example", nil},
		{"says something else", "/invitations/" + first + "/resend", `{"message":"Sorry."}`, first, &sorry},
		{"says nothing any more", "/invitations/" + first + "/resend", `{"message":""}`, first, &nothing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			w := f.call("POST", tt.path, tt.body)
			require.Equal(t, 200, w.Code, "%s", w.Body)
			require.Equal(t, []string{"resend " + tt.ref}, f.called)
			require.Equal(t, tt.message, f.edit.Message)
		})
	}
}

func TestReset(t *testing.T) {
	f := newFake()
	require.Equal(t, 200, f.call("POST", "/guests/a@fabrikam.example/reset", `{"email":"new@fabrikam.example"}`).Code)
	require.True(t, f.request.ResetRedemption)
	require.Equal(t, "new@fabrikam.example", f.request.Email)
	require.Equal(t, f.details[0].User.ID, f.request.User)
}

func TestRedeeming(t *testing.T) {
	tests := []struct {
		name   string
		signIn directory.Method
		body   string
		status int
		called []string
	}{
		{"with the link", directory.MethodLink, `{"ticket":"good","accept":true}`, 200, []string{"accept link"}},
		{"at a simulated home", directory.MethodHome, `{"ticket":"good","accept":true}`, 200, []string{"accept home"}},
		{"not where a browser is needed", directory.MethodOTP, `{"ticket":"good","accept":true}`, 409, nil},
		{"declining", directory.MethodOTP, `{"ticket":"good","accept":false}`, 200, []string{"decline"}},
		{"with a forged ticket", directory.MethodLink, `{"ticket":"bad","accept":true}`, 410, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.signIn.Method = tt.signIn
			w := f.call("POST", "/redemptions", tt.body, "Authorization", "")
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			require.Equal(t, tt.called, f.called)
		})
	}
}

func TestPolicyKeepsWhatIsNotNamed(t *testing.T) {
	f := newFake()
	w := f.call("PUT", "/policy", `{"allowInvitesFrom":"everyone","blockedDomains":["Live.example"],"linkLifetime":"0s","limits":{"tenantPerDay":5}}`)
	require.Equal(t, 200, w.Code, "%s", w.Body)
	want := directory.DefaultPolicy(tenantID)
	want.InvitesFrom, want.BlockedDomains, want.LinkLifetime, want.Limits.TenantPerDay = directory.InvitesFromEveryone, []string{"live.example"}, 0, 5
	require.Equal(t, want, f.policy)
}

func TestHomeKeepsWhatIsNotNamed(t *testing.T) {
	f := newFake()
	require.Equal(t, 200, f.call("PUT", "/homes/fabrikam.example", `{"displayName":"Fabrikam","federated":true}`).Code)
	require.Equal(t, 200, f.call("PUT", "/homes/fabrikam.example", `{"allowEmailVerifiedUsers":true}`).Code)
	require.Equal(t, directory.HomeTenant{
		Tenant: tenantID, Domain: "fabrikam.example", DisplayName: "Fabrikam", AllowEmailVerifiedUsers: true, Federated: true, SignIn: directory.SignInSimulated,
	}, f.homes["fabrikam.example"])
}

func TestTokenIsMintedForTheLocalCredential(t *testing.T) {
	f := newFake()
	w := f.call("POST", "/token", `{"as":"admin@contoso.example"}`, "Authorization", "Bearer local")
	require.JSONEq(t, `{"token_type":"Bearer","expires_in":3600,"access_token":"a.b.c"}`, w.Body.String())
	require.Equal(t, []string{"mint " + tenantID + " admin@contoso.example http://example.com/" + tenantID + "/v2.0"}, f.called)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

func TestKeysRotate(t *testing.T) {
	f := newFake()
	require.Equal(t, 200, f.call("POST", "/keys/rotate", "{}").Code)
	require.Equal(t, 1, f.rotated)
}

func TestClockIsMovedFromHereOnly(t *testing.T) {
	f := newFake()
	r, err := http.NewRequest(http.MethodPost, base+"/clock", nil)
	require.NoError(t, err)
	r.RemoteAddr = "192.0.2.1:5000"
	require.True(t, problem.Is(f.handler().advanceClock(nil, r), problem.Denied))
}

// FuzzBodies checks that no body of any request is our fault.
func FuzzBodies(f *testing.F) {
	routes := newFake().handler().routes()
	for i := range routes {
		f.Add(uint8(i), `{"email":"a@b.example","ticket":"good","accept":true,"advance":"1h","as":"x"}`)
		f.Add(uint8(i), `{"limits":{"tenantPerDay":-1},"linkLifetime":"1ns","signIn":"x"}`)
		f.Add(uint8(i), `[`)
	}
	f.Fuzz(func(t *testing.T, n uint8, body string) {
		r := routes[int(n)%len(routes)]
		w := newFake().call(r.method, r.path, body, "Authorization", "Bearer local", "Content-Type", "application/json")
		require.Less(t, w.Code, 500, "%s %s: %s", r.method, r.path, w.Body)
		require.True(t, w.Code == http.StatusNoContent || json.Valid(w.Body.Bytes()))
	})
}
