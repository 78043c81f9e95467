package rules

import (
	"fmt"
	"strings"
)

// Engine is the opinion of a spam filter that was asked after the rules. It
// does not move the mail.
type Engine struct {
	Name    string   `json:"name"`    // rspamd or spamd
	Score   float64  `json:"score"`   // in its own measure
	Limit   float64  `json:"limit"`   // from which on it calls mail spam
	Action  string   `json:"action"`  // what it would do, in its own words
	Folder  string   `json:"folder"`  // what that means here: Inbox or Junk; empty if it failed
	Symbols []Symbol `json:"symbols"` // what it found
	Error   string   `json:"error,omitempty"`
}

// Symbol is a rule of a spam filter that matched.
type Symbol struct {
	Name        string  `json:"name"`
	Score       float64 `json:"score"`
	Description string  `json:"description,omitempty"`
}

// Receiver is the name under which the fields of [Verdict.Fields] are written.
const Receiver = "sink.invited.localhost"

// Fields returns the verdict as header fields that mail tools know:
// Authentication-Results (RFC 8601), and those of Exchange Online Protection.
// Values are plain ASCII without line ends, whatever the mail says.
func (v Verdict) Fields() []Field {
	return []Field{
		{"Authentication-Results", v.Auth.results()},
		{"X-Forefront-Antispam-Report", v.forefront()},
		{"X-Microsoft-Antispam", fmt.Sprintf("BCL:%d;", v.BCL)},
	}
}

// results returns the value of Authentication-Results.
func (a *Auth) results() string {
	if a == nil {
		return Receiver + "; none"
	}
	out := []string{Receiver, fmt.Sprintf("spf=%s (sender IP is %s) smtp.mailfrom=%s smtp.helo=%s", a.SPF, safe(a.ClientIP), safe(a.SPFDomain), safe(a.Helo))}
	if len(a.Signatures) == 0 {
		out = append(out, "dkim=none (message not signed)")
	}
	for _, s := range a.Signatures {
		out = append(out, fmt.Sprintf("dkim=%s header.d=%s header.s=%s", s.Result, safe(s.Domain), safe(s.Selector)))
	}
	policy := ""
	if a.Policy != "" {
		policy = " (p=" + a.Policy + ")"
	}
	out = append(out, fmt.Sprintf("dmarc=%s%s header.from=%s", a.DMARC, policy, safe(a.FromDomain)), a.composite())
	return strings.Join(out, "; ")
}

// composite returns Microsoft's summary: reason 1xx is a pass, 000 a failure
// under a policy that asks for action, 001 one without.
func (a *Auth) composite() string {
	switch {
	case a.Aligned:
		return "compauth=pass reason=100"
	case a.DMARC == "fail" && a.Policy != "none":
		return "compauth=fail reason=000"
	default:
		return "compauth=fail reason=001"
	}
}

// forefront returns the value of X-Forefront-Antispam-Report.
func (v Verdict) forefront() string {
	a := v.Auth
	if a == nil {
		a = &Auth{}
	}
	ip, helo, ptr := safe(a.ClientIP), safe(a.Helo), safe(a.PTR)
	if ptr == "none" && v.Auth != nil {
		ptr = "InfoDomainNonexistent"
	}
	return fmt.Sprintf("CIP:%s;CTRY:;LANG:;SCL:%d;SRV:;IPV:NLI;SFV:%s;H:%s;PTR:%s;CAT:%s;SFS:;DIR:INB;", ip, v.SCL, v.filtering(), helo, ptr, safe(v.Category))
}

// filtering returns why filtering ended as it did: SKA an administrator's
// list, SKS and SKN a rule that came before, SPM and NSPM the filter itself.
func (v Verdict) filtering() string {
	switch {
	case v.Forced != "" && v.Junk():
		return "SKS"
	case v.Forced != "":
		return "SKN"
	case v.SCL < 0:
		return "SKA"
	case v.Junk():
		return "SPM"
	default:
		return "NSPM"
	}
}

// safe returns s fit for a value of the fields above; "none" if it is empty.
func safe(s string) string {
	if s == "" {
		return "none"
	}
	const longest = 255
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:[]@+", r) {
			return r
		}
		return '_'
	}, s)
}
