package rules

import (
	"net/netip"
	"strings"
)

// Auth is what was found out about the authenticity of a mail, in the words of
// RFC 8601. This package verifies nothing itself: whoever calls [Check] does,
// and hands the results in.
type Auth struct {
	ClientIP   string      `json:"clientIP"` // of the server that brought the mail
	Helo       string      `json:"helo"`
	PTR        string      `json:"ptr,omitempty"` // confirmed reverse name; empty: none
	TLS        bool        `json:"tls"`
	MailFrom   string      `json:"mailFrom"`  // reverse-path
	SPF        string      `json:"spf"`       // none, neutral, pass, fail, softfail, temperror or permerror
	SPFDomain  string      `json:"spfDomain"` // that was asked
	SPFDetail  string      `json:"spfDetail,omitempty"`
	DKIM       string      `json:"dkim"` // none, pass, fail, temperror or permerror
	Signatures []Signature `json:"signatures,omitempty"`
	DMARC      string      `json:"dmarc"`            // none, pass, fail or permerror
	Policy     string      `json:"policy,omitempty"` // none, quarantine or reject; empty without a record
	FromDomain string      `json:"fromDomain"`
	Aligned    bool        `json:"aligned"` // SPF or DKIM passed for the domain of From
}

// Signature is a DKIM signature and its result.
type Signature struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	Result   string `json:"result"`
	Problem  string `json:"problem,omitempty"`
}

// judged returns a rule that is silent if authenticity was not judged.
func judged(find func(m *mail, a *Auth) (string, bool)) func(m *mail) (string, bool) {
	return func(m *mail) (string, bool) {
		if m.scenario.Auth == nil {
			return "", false
		}
		return find(m, m.scenario.Auth)
	}
}

func spfFail(_ *mail, a *Auth) (string, bool) {
	return a.ClientIP + " is not allowed by " + a.SPFDomain, a.SPF == "fail"
}

func dkimNone(_ *mail, a *Auth) (string, bool) { return "DKIM-Signature", a.DKIM == "none" }

func dkimBad(_ *mail, a *Auth) (string, bool) {
	if a.DKIM != "fail" && a.DKIM != "permerror" {
		return "", false
	}
	for _, s := range a.Signatures {
		if s.Problem != "" {
			return "DKIM-Signature of " + s.Domain + ": " + s.Problem, true
		}
	}
	return "DKIM-Signature", true
}

// dmarcFail returns the rule for a policy.
func dmarcFail(policy string) func(m *mail) (string, bool) {
	return judged(func(_ *mail, a *Auth) (string, bool) {
		return "From: " + a.FromDomain + " (p=" + policy + ")", a.DMARC == "fail" && a.Policy == policy
	})
}

func alignNone(_ *mail, a *Auth) (string, bool) {
	return "From: " + a.FromDomain, !a.Aligned && a.FromDomain != ""
}

func ptrMissing(_ *mail, a *Auth) (string, bool) { return a.ClientIP, a.PTR == "" }

// heloLocalhost looks for names that only a machine without a name gives.
func heloLocalhost(_ *mail, a *Auth) (string, bool) {
	helo := strings.ToLower(strings.TrimSuffix(a.Helo, "."))
	if literal, ok := strings.CutPrefix(helo, "["); ok {
		literal = strings.TrimPrefix(strings.TrimSuffix(literal, "]"), "ipv6:")
		ip, err := netip.ParseAddr(literal)
		return "EHLO " + a.Helo, err != nil || ip.IsLoopback()
	}
	_, err := netip.ParseAddr(helo) // an address without brackets
	return "EHLO " + a.Helo, err == nil || !strings.Contains(helo, ".") || within(helo, "localdomain") || within(helo, "localhost")
}

func noTLS(_ *mail, a *Auth) (string, bool) { return "STARTTLS", !a.TLS }

func dmarcPass(_ *mail, a *Auth) (string, bool) { return "From: " + a.FromDomain, a.DMARC == "pass" }

// knownContact believes From only if nothing speaks against it.
func knownContact(m *mail) (string, bool) {
	if a := m.scenario.Auth; a != nil && !a.Aligned {
		return "", false
	}
	return m.listed(m.scenario.Contacts)
}

func adminAllow(m *mail) (string, bool) { return m.listed(m.scenario.Allow) }

// listed reports whether every address of From matches a pattern.
func (m *mail) listed(patterns []string) (string, bool) {
	if len(patterns) == 0 || len(m.From) == 0 {
		return "", false
	}
	for _, p := range m.From {
		matched := false
		for _, pattern := range patterns {
			matched = matched || pattern != "" && glob(pattern, p.Address)
		}
		if !matched {
			return "", false
		}
	}
	return "From: " + m.From[0].Address, true
}
