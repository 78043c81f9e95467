package rules_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"
	"github.com/stretchr/testify/require"

	"invited/mail/sink/rules"
)

// genuine is a mail about which the DNS says only good.
func genuine() rules.Auth {
	return rules.Auth{
		ClientIP: "192.0.2.10", Helo: "mail.contoso.example", PTR: "mail.contoso.example", TLS: true,
		MailFrom: "bounce@contoso.example", SPF: "pass", SPFDomain: "contoso.example",
		DKIM: "pass", Signatures: []rules.Signature{{Domain: "contoso.example", Selector: "s1", Result: "pass"}},
		DMARC: "pass", Policy: "reject", FromDomain: "contoso.example", Aligned: true,
	}
}

// sessions are the good mail, brought in ways that differ by one thing.
var sessions = []struct {
	name string
	edit func(s *rules.Scenario)
	want string
	scl  int
}{
	{"all is well", func(*rules.Scenario) {}, "DMARC_PASS", 1},
	{"nothing is known", func(s *rules.Scenario) { s.Auth = nil }, "", 1},
	{"from a server that may not", func(s *rules.Scenario) { s.Auth.SPF = "fail" }, "AUTH_SPF_FAIL DMARC_PASS", 1},
	{"softfail is not held against it", func(s *rules.Scenario) { s.Auth.SPF = "softfail" }, "DMARC_PASS", 1},
	{"unsigned", func(s *rules.Scenario) { s.Auth.DKIM, s.Auth.Signatures = "none", nil }, "AUTH_DKIM_NONE DMARC_PASS", 1},
	{"a broken signature", func(s *rules.Scenario) {
		s.Auth.DKIM = "fail"
		s.Auth.Signatures = []rules.Signature{{Domain: "contoso.example", Result: "fail", Problem: "body hash did not verify"}}
	}, "AUTH_DKIM_BAD DMARC_PASS", 1},
	{"a signature without key", func(s *rules.Scenario) { s.Auth.DKIM = "permerror" }, "AUTH_DKIM_BAD DMARC_PASS", 1},
	{"a key that cannot be had now", func(s *rules.Scenario) { s.Auth.DKIM = "temperror" }, "DMARC_PASS", 1},
	{"spoofed, and the domain asks for rejection", spoof("reject"), "AUTH_DMARC_FAIL_REJECT ALIGN_NONE", 6},
	{"spoofed, and the domain asks for quarantine", spoof("quarantine"), "AUTH_DMARC_FAIL_QUARANTINE ALIGN_NONE", 5},
	{"spoofed, and the domain watches", spoof("none"), "AUTH_DMARC_FAIL_NONE ALIGN_NONE", 1},
	{"nothing proves it, and nobody asks", func(s *rules.Scenario) { s.Auth.DMARC, s.Auth.Policy, s.Auth.Aligned = "none", "", false }, "ALIGN_NONE", 1},
	{"no reverse name", func(s *rules.Scenario) { s.Auth.PTR = "" }, "PTR_MISSING DMARC_PASS", 1},
	{"a machine without a name", func(s *rules.Scenario) { s.Auth.Helo = "localhost" }, "HELO_LOCALHOST DMARC_PASS", 1},
	{"one word", func(s *rules.Scenario) { s.Auth.Helo = "vm" }, "HELO_LOCALHOST DMARC_PASS", 1},
	{"a bare address", func(s *rules.Scenario) { s.Auth.Helo = "192.0.2.10" }, "HELO_LOCALHOST DMARC_PASS", 1},
	{"a loopback literal", func(s *rules.Scenario) { s.Auth.Helo = "[127.0.0.1]" }, "HELO_LOCALHOST DMARC_PASS", 1},
	{"a literal is a name", func(s *rules.Scenario) { s.Auth.Helo = "[IPv6:2001:db8::1]" }, "DMARC_PASS", 1},
	{"in clear", func(s *rules.Scenario) { s.Auth.TLS = false }, "NO_TLS DMARC_PASS", 1},
	{"a contact", func(s *rules.Scenario) { s.Contacts = []string{"x@y.example", "*@contoso.example"} }, "DMARC_PASS KNOWN_CONTACT", 1},
	{"a contact on this machine", func(s *rules.Scenario) { s.Auth, s.Contacts = nil, []string{"invites@contoso.example"} }, "KNOWN_CONTACT", 1},
	{"somebody who pretends to be a contact", func(s *rules.Scenario) {
		spoof("none")(s)
		s.Contacts = []string{"*@contoso.example"}
	}, "AUTH_DMARC_FAIL_NONE ALIGN_NONE", 1},
	{"let in by an administrator", func(s *rules.Scenario) {
		spoof("reject")(s)
		s.Allow = []string{"invites@*"}
	}, "AUTH_DMARC_FAIL_REJECT ALIGN_NONE ADMIN_ALLOW", -1},
	{"somebody else is let in", func(s *rules.Scenario) { s.Allow = []string{"", "boss@*"} }, "DMARC_PASS", 1},
}

func spoof(policy string) func(s *rules.Scenario) {
	return func(s *rules.Scenario) { s.Auth.DMARC, s.Auth.Policy, s.Auth.Aligned = "fail", policy, false }
}

func session(edit func(*rules.Scenario)) rules.Scenario {
	auth := genuine()
	s := rules.Scenario{Received: received, Rcpt: "jane@fabrikam.example", Auth: &auth}
	edit(&s)
	return s
}

func TestCheckSession(t *testing.T) {
	for _, tt := range sessions {
		t.Run(tt.name, func(t *testing.T) {
			v := rules.Check(input(t, good), session(tt.edit))
			require.Equal(t, tt.want, names(v), "%+v", v)
			require.Equal(t, tt.scl, v.SCL)
			require.Equal(t, tt.scl >= 5, v.Junk())
			for _, h := range v.Hits {
				require.NotEmpty(t, h.Where, h.Rule)
			}
		})
	}
}

// TestAdminAllowIsNotForGTUBE: the string must work everywhere.
func TestAdminAllowIsNotForGTUBE(t *testing.T) {
	raw := replace("Review and accept:", "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X")(good)
	v := rules.Check(input(t, raw), session(func(s *rules.Scenario) { s.Allow = []string{"*"} }))
	require.True(t, v.Junk())
}

func TestSpoofingIsACategory(t *testing.T) {
	require.Equal(t, "SPOOF", rules.Check(input(t, good), session(spoof("reject"))).Category)
}

func TestMailingHasABulkLevel(t *testing.T) {
	for field, want := range map[string]int{"": 0, "List-Id: <a.contoso.example>\r\n": 3, "Precedence: bulk\r\n": 3, "Precedence: first-class\r\n": 0} {
		require.Equal(t, want, rules.Check(input(t, field+good), rules.Scenario{}).BCL, field)
	}
}

func TestFields(t *testing.T) {
	tests := []struct {
		name string
		edit func(*rules.Scenario)
		want []string // part of each field
	}{
		{"genuine", func(*rules.Scenario) {}, []string{
			"sink.invited.localhost; spf=pass (sender IP is 192.0.2.10) smtp.mailfrom=contoso.example smtp.helo=mail.contoso.example; dkim=pass header.d=contoso.example header.s=s1; dmarc=pass (p=reject) header.from=contoso.example; compauth=pass reason=100",
			"CIP:192.0.2.10;CTRY:;LANG:;SCL:1;SRV:;IPV:NLI;SFV:NSPM;H:mail.contoso.example;PTR:mail.contoso.example;CAT:NONE;SFS:;DIR:INB;",
			"BCL:0;"}},
		{"spoofed", spoof("reject"), []string{"compauth=fail reason=000", "SCL:6;SRV:;IPV:NLI;SFV:SPM;", "BCL"}},
		{"nothing is known", func(s *rules.Scenario) { s.Auth = nil }, []string{"sink.invited.localhost; none", "CIP:none;", "BCL"}},
		{"forced", func(s *rules.Scenario) { s.Rcpt = "jane+junk@fabrikam.example" }, []string{"compauth=pass", "SCL:5;SRV:;IPV:NLI;SFV:SKS;", "BCL"}},
		{"rescued", func(s *rules.Scenario) { s.Forced = []rules.Force{{Folder: "Inbox"}} }, []string{"compauth=pass", "SFV:SKN;", "BCL"}},
		{"allowed", func(s *rules.Scenario) { s.Allow = []string{"*"} }, []string{"compauth=pass", "SCL:-1;SRV:;IPV:NLI;SFV:SKA;", "BCL"}},
		{"a HELO that breaks out", func(s *rules.Scenario) { s.Auth.Helo, s.Auth.PTR = "a;\r\nX: y (", "" }, []string{"smtp.helo=a___X:_y__;", "H:a___X:_y__;PTR:InfoDomainNonexistent;", "BCL"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := rules.Check(input(t, good), session(tt.edit)).Fields()
			require.Len(t, got, 3)
			for i, part := range tt.want {
				require.Contains(t, got[i].Value, part)
			}
			for i, name := range []string{"Authentication-Results", "X-Forefront-Antispam-Report", "X-Microsoft-Antispam"} {
				require.Equal(t, name, got[i].Name)
			}
			_, results, err := authres.Parse(got[0].Value)
			require.NoError(t, err, "mail tools must be able to read it")
			require.Equal(t, strings.Contains(got[0].Value, "; none"), len(results) == 0)
		})
	}
}

func TestAuthenticationDoesNotMakeADefectVanish(t *testing.T) {
	for _, tt := range defects {
		bare := rules.Check(input(t, tt.edit(good)), rules.Scenario{Received: received})
		with := rules.Check(input(t, tt.edit(good)), session(func(*rules.Scenario) {}))
		for _, h := range bare.Hits {
			require.Contains(t, names(with), h.Rule, tt.name)
		}
	}
}
