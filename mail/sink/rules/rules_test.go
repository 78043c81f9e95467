package rules_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"invited/mail/sink/mime"
	"invited/mail/sink/rules"
)

var received = time.Date(2024, 11, 21, 10, 0, 30, 0, time.UTC)

// input reads raw as the sink does.
func input(t require.TestingT, raw string) rules.Input {
	m, err := mime.Parse([]byte(raw), mime.Limits{})
	require.NoError(t, err)
	in := rules.Input{
		Raw: []byte(raw), Subject: m.Subject, MessageID: m.MessageID, Date: m.Date, Text: m.Text, HTML: m.HTML, HTMLText: m.HTMLText,
	}
	for _, f := range m.Header {
		in.Header = append(in.Header, rules.Field{Name: f.Name, Value: f.Value})
	}
	for _, p := range m.From {
		in.From = append(in.From, rules.Person(p))
	}
	for _, p := range m.ReplyTo {
		in.ReplyTo = append(in.ReplyTo, rules.Person(p))
	}
	for _, l := range m.Links {
		in.Links = append(in.Links, rules.Link(l))
	}
	for _, p := range m.Parts {
		if p.Multipart() {
			continue
		}
		ascii := p.Encoding == "base64" && !strings.ContainsFunc(string(p.Content()), func(r rune) bool { return r >= 0x80 })
		in.Parts = append(in.Parts, rules.Part{ID: p.PartID, ContentType: p.ContentType, Encoding: p.Encoding, FileName: p.FileName, ASCII: ascii})
	}
	return in
}

// good is a mail without fault; the tests spoil it.
const good = "From: Contoso Invitations <invites@contoso.example>\r\n" +
	"To: Jane Doe <jane@fabrikam.example>\r\n" +
	"Reply-To: Sam <sam@contoso.example>\r\n" +
	"Subject: Sam invited you to Contoso\r\n" +
	"Date: Thu, 21 Nov 2024 10:00:00 +0000\r\n" +
	"Message-ID: <1.2@contoso.example>\r\n" +
	"Auto-Submitted: auto-generated\r\n" +
	"List-Unsubscribe: <https://contoso.example/block>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative; boundary=b\r\n" +
	"\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
	"Sam from Contoso invites you to work with their applications.\r\nReview and accept: https://contoso.example/redeem?x=1\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" +
	"<p>Sam from Contoso invites you to work with their applications.</p><p><a href=\"https://contoso.example/redeem?x=1\">Review and accept</a></p>" +
	"<p>This mail was sent by Contoso because Sam asked for it.</p>\r\n--b--\r\n"

// replace returns an edit of the good mail.
func replace(pairs ...string) func(string) string { return strings.NewReplacer(pairs...).Replace }

// defects are the one-change variants of the good mail.
var defects = []struct {
	name string
	edit func(string) string
	want string // the rules that hit, in order
	scl  int
}{
	{"nothing is wrong", replace(), "", 1},
	{"the emulator's own sender is the brand itself", replace("Contoso Invitations <invites@contoso.example>", "Microsoft Invitations on behalf of Contoso <invites@microsoft.com>"), "LINK_OTHER_DOMAIN_THAN_FROM REPLYTO_OTHER_DOMAIN", 1},
	{"a tenant's initial domain belongs to the brand", replace("Contoso Invitations <invites@contoso.example>", "Microsoft Invitations on behalf of contoso.example <invites@contoso.onmicrosoft.example>"), "LINK_OTHER_DOMAIN_THAN_FROM REPLYTO_OTHER_DOMAIN", 1},
	{"a brand's name from another domain", replace("Contoso Invitations", "Microsoft Invitations on behalf of Contoso"), "BRAND_IN_DISPLAY_NAME", 5},
	{"a brand's name in disguise", replace("Contoso Invitations", "Mіcr0soft Team"), "BRAND_IN_DISPLAY_NAME", 5},
	{"a brand's name inside a word", replace("Contoso Invitations", "Microsoftware Ltd"), "", 1},
	{"an address of another domain in the name", replace("Contoso Invitations", `"invites@bank.example"`), "DISPLAY_NAME_HAS_OTHER_ADDRESS", 5},
	{"the sender's own address in the name", replace("Contoso Invitations", `"invites@contoso.example"`), "", 1},
	{"two From fields", replace("To: Jane", "From: evil@bank.example\r\nTo: Jane"), "HDR_DUP_SINGLETON", 6},
	{"no date", replace("Date: Thu, 21 Nov 2024 10:00:00 +0000\r\n", ""), "MISSING_DATE", 1},
	{"a date that cannot be read", replace("Thu, 21 Nov 2024 10:00:00 +0000", "yesterday"), "MISSING_DATE", 1},
	{"a date three days ahead", replace("Thu, 21 Nov", "Sun, 24 Nov"), "DATE_OFF_24H", 5},
	{"no message id", replace("Message-ID: <1.2@contoso.example>\r\n", ""), "MISSING_MSGID", 1},
	{"a message id of a machine", replace("<1.2@contoso.example>", "<1.2@localhost>"), "MSGID_NOT_FQDN", 1},
	{"no recipient", replace("To: Jane Doe <jane@fabrikam.example>\r\n", ""), "MISSING_TO", 1},
	{"no subject", replace("Subject: Sam invited you to Contoso\r\n", ""), "SUBJECT_EMPTY", 1},
	{"a subject in capitals", replace("Sam invited you to Contoso", "SAM INVITED YOU"), "SUBJECT_CAPS", 1},
	{"a raw 8-bit subject", replace("Sam invited you", "Zoë invited you"), "SUBJECT_8BIT", 1},
	{"a reply to nothing", replace("Subject: Sam", "Subject: Re: Sam"), "SUBJECT_FAKE_RE", 1},
	{"a real reply", replace("Subject: Sam", "In-Reply-To: <x@y.example>\r\nSubject: Re: Sam"), "", 1},
	{"replies go to free mail", replace("sam@contoso.example", "sam@gmail.com"), "REPLYTO_FREEMAIL REPLYTO_OTHER_DOMAIN", 1},
	{"HTML only", replace("Content-Type: text/plain", "Content-Type: application/x-none"), "HTML_ONLY", 1},
	{"an image instead of words", replace("Sam from Contoso invites you to work with their applications.</p>", "<img src=x></p>", "<p>This mail was sent by Contoso because Sam asked for it.</p>", ""), "HTML_IMAGE_ONLY", 1},
	{"two parts that have nothing in common", replace("Sam from Contoso invites you to work with their applications.\r\nReview and accept:", "Quarterly figures are attached below for everyone on the list:"), "TEXT_HTML_DIFFER", 1},
	{"ASCII in base64", replace("--b\r\nContent-Type: text/html", "--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n--b\r\nContent-Type: text/html"), "BASE64_ASCII_TEXT", 1},
	{"a link text that lies", replace(">Review and accept</a>", ">https://login.fabrikam.example/</a>"), "LINK_TEXT_HOST_MISMATCH", 5},
	{"a link text that is a file", replace(">Review and accept</a>", ">invitation.pdf</a>"), "", 1},
	{"a link to an address", replace("https://contoso.example/redeem", "https://192.0.2.1/redeem"), "LINK_TO_IP", 1},
	{"links to this machine are what an emulator sends", replace("https://contoso.example/redeem", "http://127.0.0.1:8080/redeem"), "", 1},
	{"links to localhost, too", replace("https://contoso.example/redeem", "http://localhost:8080/redeem"), "", 1},
	{"a link in clear", replace("https://contoso.example/redeem", "http://contoso.example/redeem"), "LINK_HTTP", 1},
	{"a shortened link", replace("https://contoso.example/redeem", "https://bit.ly/redeem"), "LINK_SHORTENER", 1},
	{"a link to somebody else", replace("https://contoso.example/redeem", "https://fabrikam.example/redeem"), "LINK_OTHER_DOMAIN_THAN_FROM", 1},
	{"a link to another host of the same owner", replace("https://contoso.example/redeem", "https://apps.contoso.example/redeem", "<invites@contoso.example>", "<invites@mail.contoso.example>"), "", 1},
	{"a link nobody can click in whole", replace("Review and accept: https://contoso.example/redeem?x=1\r\n", "Review and accept.\r\n", "href=\"https://contoso.example/redeem?x=1", "href=\"https://contoso.example/redeem?x=\r\n"+strings.Repeat(strings.Repeat("y", 500)+"\r\n", 5)), "TOKEN_URL_OVER_2000", 1},
	{"words for filters alone", replace("<p>This mail", "<div style=\"color:red; display: none\">"+strings.Repeat("tender quotes of old poets ", 8)+"</div><p>This mail"), "HIDDEN_TEXT", 1},
	{"a hidden preview line", replace("<p>This mail", "<div style='display:none'>Sam invites you to work with Contoso</div><p>This mail"), "", 1},
	{"call us about your money", replace("work with their applications", "call +1 (888) 555-0100 about your payment of $499.99"), "PHONE_AND_MONEY_IN_MESSAGE", 5},
	{"money without a telephone number", replace("work with their applications", "a budget of 500 EUR on 2024-11-21 10:00 at 192.168.100.200"), "", 1},
	{"pressure", replace("work with their applications.", "act now, or your account will be suspended."), "URGENCY_WORDS", 1},
	{"no MIME-Version", replace("MIME-Version: 1.0\r\n", ""), "MIME_VERSION_MISSING", 1},
	{"a line of 1,000 characters", replace("Review and accept:", "Review and accept "+strings.Repeat("x", 1000)), "LINE_OVER_998", 1},
	{"LF without CR", replace("Review and", "Review\nand"), "BARE_LF", 1},
	{"a program attached", replace("--b--", "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"invoice.pdf.exe\"\r\n\r\nMZ\r\n--b--"), "ATTACH_EXE", 5},
	{"no way out", replace("List-Unsubscribe: <https://contoso.example/block>\r\n", ""), "NO_UNSUBSCRIBE", 1},
	{"a program that does not say so", replace("Auto-Submitted: auto-generated\r\n", ""), "NO_AUTO_SUBMITTED", 1},
	{"GTUBE", replace("Review and accept:", "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"), "GTUBE", 9},
}

func names(v rules.Verdict) string {
	var out []string
	for _, h := range v.Hits {
		out = append(out, h.Rule)
	}
	return strings.Join(out, " ")
}

func TestCheck(t *testing.T) {
	covered := map[string]bool{}
	for _, tt := range defects {
		t.Run(tt.name, func(t *testing.T) {
			v := rules.Check(input(t, tt.edit(good)), rules.Scenario{Received: received, Rcpt: "jane@fabrikam.example"})
			require.Equal(t, tt.want, names(v), "%+v", v)
			require.Equal(t, tt.scl, v.SCL)
			require.Equal(t, tt.scl >= 5, v.Junk())
			require.Empty(t, v.Forced)
			for _, h := range v.Hits {
				require.NotEmpty(t, h.Where, h.Rule)
				covered[h.Rule] = true
			}
		})
	}
	for _, tt := range sessions {
		for _, rule := range strings.Fields(tt.want) {
			covered[rule] = true
		}
	}
	for _, h := range rules.All() {
		require.True(t, covered[h.Rule], "no mail of the tables triggers %s", h.Rule)
	}
}

func TestEveryRuleExplainsItself(t *testing.T) {
	seen := map[string]bool{}
	for _, h := range rules.All() {
		require.False(t, seen[h.Rule], h.Rule)
		seen[h.Rule] = true
		require.NotZero(t, h.Score, h.Rule)
		require.NotEmpty(t, h.Why, h.Rule)
		require.NotEmpty(t, h.Fix, h.Rule)
		require.True(t, strings.HasSuffix(h.Why, "."), h.Rule)
		require.True(t, strings.HasSuffix(h.Fix, "."), h.Rule)
	}
}

func TestCategory(t *testing.T) {
	tests := []struct{ name, from, want string }{
		{"a faultless mail has none", "Contoso", "NONE"},
		{"a borrowed brand is impersonation", "PayPal", "BIMP"},
		{"a foreign address is spoofing", `"a@bank.example"`, "SPOOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := rules.Check(input(t, replace("Contoso Invitations <", tt.from+" <")(good)), rules.Scenario{})
			require.Equal(t, tt.want, v.Category)
		})
	}
}

func TestForced(t *testing.T) {
	force := func(to, from, folder, reason string) []rules.Force {
		return []rules.Force{{To: to, From: from, Folder: folder, Reason: reason}}
	}
	spoiled := replace("Contoso Invitations", "PayPal")
	tests := []struct {
		name   string
		edit   func(string) string
		s      rules.Scenario
		junk   bool
		forced string
	}{
		{"the tag +junk", replace(), rules.Scenario{Rcpt: "guest+junk@fabrikam.example"}, true, "the tag +junk"},
		{"the tag in capitals and not alone", replace(), rules.Scenario{Rcpt: "guest+a+JUNK@fabrikam.example"}, true, "the tag +junk"},
		{"a tag that only begins so", replace(), rules.Scenario{Rcpt: "guest+junkyard@fabrikam.example"}, false, ""},
		{"the word without a tag", replace(), rules.Scenario{Rcpt: "junk@fabrikam.example"}, false, ""},
		{"the header field", replace("To: Jane", "X-Sink-Folder: junk\r\nTo: Jane"), rules.Scenario{}, true, "X-Sink-Folder"},
		{"the header field for the inbox", func(s string) string { return "X-Sink-Folder: Inbox\r\n" + spoiled(s) }, rules.Scenario{}, false, "X-Sink-Folder: Inbox"},
		{"a folder nobody knows", replace("To: Jane", "X-Sink-Folder: Trash\r\nTo: Jane"), rules.Scenario{}, false, ""},
		{"a rule for the recipient", replace(), rules.Scenario{Rcpt: "Jane@Fabrikam.example", Forced: force("*@fabrikam.*", "", "Junk", "")}, true, "a rule matches"},
		{"a rule for another recipient", replace(), rules.Scenario{Rcpt: "jane@fabrikam.example", Forced: force("*@contoso.example", "", "Junk", "")}, false, ""},
		{"a rule for the sender, with a reason", replace(), rules.Scenario{MailFrom: "a@b.example", Forced: force("", "?@b.example", "junk", "quarantined by hand")}, true, "quarantined by hand"},
		{"a rule rescues", spoiled, rules.Scenario{Forced: force("", "", "Inbox", "allow-listed")}, false, "allow-listed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := rules.Check(input(t, tt.edit(good)), tt.s)
			require.Equal(t, tt.junk, v.Junk(), "%+v", v)
			if tt.forced == "" {
				require.Empty(t, v.Forced)
				return
			}
			require.Contains(t, v.Forced, tt.forced)
			require.True(t, strings.HasPrefix(v.Hits[0].Rule, "FORCED_"))
			require.NotEmpty(t, v.Hits[0].Why)
			require.NotEmpty(t, v.Hits[0].Fix)
		})
	}
}

// TestAddingADefectNeverLowersTheScore spoils the mail with any set of defects,
// one after the other.
func TestAddingADefectNeverLowersTheScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw, score := good, 0.0
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(defects)-1), 1, 6, rapid.ID[int]).Draw(t, "defects") {
			if defects[i].want == "" {
				continue
			}
			spoiled := defects[i].edit(raw)
			v := rules.Check(input(t, spoiled), rules.Scenario{Received: received})
			if !strings.Contains(names(v), defects[i].want) {
				continue // the place it spoils is gone
			}
			require.GreaterOrEqual(t, v.Score, score, defects[i].name)
			raw, score = spoiled, v.Score
		}
	})
}

func TestOrderOfFieldsDoesNotMatter(t *testing.T) {
	for _, tt := range defects {
		in := input(t, tt.edit(good))
		want := rules.Check(in, rules.Scenario{Received: received})
		for seed := range uint64(5) {
			r := rand.New(rand.NewPCG(seed, 1))
			r.Shuffle(len(in.Header), func(i, j int) { in.Header[i], in.Header[j] = in.Header[j], in.Header[i] })
			require.Equal(t, want, rules.Check(in, rules.Scenario{Received: received}), tt.name)
		}
	}
}

func TestVerdictAsJSON(t *testing.T) {
	b, err := json.Marshal(rules.Check(input(t, good), rules.Scenario{}))
	require.NoError(t, err)
	require.JSONEq(t, `{"score":0,"scl":1,"category":"NONE","forced":"","hits":[]}`, string(b))
}

// FuzzCheck checks that no mail makes a rule panic or a verdict contradict
// itself.
func FuzzCheck(f *testing.F) {
	for _, tt := range defects {
		f.Add([]byte(tt.edit(good)), "guest+junk@fabrikam.example", "*@b?.example")
	}
	f.Fuzz(func(t *testing.T, raw []byte, rcpt, pattern string) {
		if len(raw) > 100<<10 || len(pattern) > 1000 || len(rcpt) > 1000 {
			return
		}
		m, err := mime.Parse(raw, mime.Limits{})
		if err != nil || m == nil {
			return
		}
		v := rules.Check(input(t, string(raw)), rules.Scenario{Received: received, Rcpt: rcpt, Forced: []rules.Force{{To: pattern, Folder: "Junk"}}})
		require.Contains(t, []int{1, 5, 6, 9}, v.SCL)
		for _, f := range v.Fields() {
			require.NotContains(t, f.Value, "\n")
		}
		sum := 0.0
		for _, h := range v.Hits {
			require.NotEmpty(t, h.Why)
			require.LessOrEqual(t, len(h.Where), 130)
			sum += h.Score
		}
		require.InDelta(t, sum, v.Score, .01)
	})
}

func BenchmarkCheck20kB(b *testing.B) {
	text := strings.Repeat("Sam from Contoso invites you to work with 42 applications of theirs. https://contoso.example/redeem?x=1\r\n", 40)
	row := "<tr><td style=\"font-family:'Segoe UI',Arial;font-size:14px;color:#333;padding:8px\">Sam from Contoso invites you to work with 42 applications. <a href=\"https://contoso.example/redeem?x=1\">Accept</a></td></tr>\r\n"
	raw := strings.Replace(good, "Sam from Contoso invites you to work with their applications.\r\n", text, 1)
	raw = strings.Replace(raw, "<p>This", "<table>"+strings.Repeat(row, 75)+"</table><p>This", 1)
	in := input(b, raw)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		rules.Check(in, rules.Scenario{Received: received, Rcpt: "jane@fabrikam.example"})
	}
}
