package rules

import (
	"math"
	"strings"
)

// Check judges a mail for one recipient. It is deterministic, and the order of
// header fields does not matter.
func Check(in Input, s Scenario) Verdict {
	m := newMail(in, s)
	v := Verdict{Category: "NONE", Hits: []Hit{}, Auth: s.Auth, BCL: m.bulk()}
	for i := range table {
		r := &table[i]
		where, ok := r.find(m)
		if !ok {
			continue
		}
		v.Score += r.Score
		v.Hits = append(v.Hits, Hit{Rule: r.Rule, Score: r.Score, Why: r.Why, Fix: r.Fix, Where: clip(where)})
		if r.category != "" && v.Category == "NONE" {
			v.Category = r.category
		}
	}
	v.Score = math.Round(v.Score*100) / 100
	v.SCL = scl(v.Score)
	if _, allowed := adminAllow(m); allowed && v.SCL < 5 {
		v.SCL = -1
	}
	m.force(&v)
	switch {
	case !v.Junk():
		v.Category = "NONE"
	case v.Category == "NONE":
		v.Category = "SPM"
	}
	return v
}

// All returns every rule as the hit it would make, in the order of a verdict.
func All() []Hit {
	out := make([]Hit, len(table))
	for i := range table {
		out[i] = table[i].Hit
	}
	return out
}

// scl maps a score to the spam confidence level of Exchange Online Protection.
func scl(score float64) int {
	switch {
	case score < 3:
		return 1
	case score < 6:
		return 5
	case score < 10:
		return 6
	default:
		return 9
	}
}

// bulk returns the bulk complaint level. How many complained nobody knows here,
// so that a mailing gets the highest level of those about whom few do.
func (m *mail) bulk() int {
	if p := strings.ToLower(strings.TrimSpace(m.get("Precedence"))); m.has("List-Id") || p == "bulk" || p == "list" {
		return 3
	}
	return 0
}

// FolderField is the header field by which a test chooses the folder.
const FolderField = "X-Sink-Folder"

// force applies what the test asked for: a +junk tag in the recipient's
// address, the header field, the list of rules.
func (m *mail) force(v *Verdict) {
	folder, why := m.forced()
	if folder == "" {
		return
	}
	v.Forced = why
	hit := Hit{Rule: "FORCED_" + strings.ToUpper(folder), Why: "The folder was forced: " + why + ".", Fix: "Remove the tag, field or rule that forces the folder."}
	v.Hits = append([]Hit{hit}, v.Hits...)
	if folder == Inbox {
		v.SCL = 1
		return
	}
	v.SCL = max(v.SCL, 5)
}

func (m *mail) forced() (folder, why string) {
	if local, _, ok := cutAddress(m.scenario.Rcpt); ok {
		for _, tag := range strings.Split(local, "+")[1:] {
			if strings.EqualFold(tag, "junk") {
				return Junk, "the recipient's address has the tag +junk"
			}
		}
	}
	if f := folderOf(strings.TrimSpace(m.get(FolderField))); f != "" {
		return f, "the mail has the field " + FolderField + ": " + f
	}
	for _, f := range m.scenario.Forced {
		folder := folderOf(f.Folder)
		if folder == "" || !glob(f.To, m.scenario.Rcpt) || !glob(f.From, m.scenario.MailFrom) {
			continue
		}
		if f.Reason != "" {
			return folder, f.Reason
		}
		return folder, "a rule matches this sender and recipient"
	}
	return "", ""
}

func folderOf(s string) string {
	switch {
	case strings.EqualFold(s, Inbox):
		return Inbox
	case strings.EqualFold(s, Junk):
		return Junk
	}
	return ""
}

// glob matches s against a pattern of * and ?, in any case. An empty pattern
// matches all. It goes back to the last * only, so its cost is bounded by the
// product of the lengths.
func glob(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	p, star, mark := 0, -1, 0
	for i := 0; i < len(s); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// clip shortens foreign text for Where.
func clip(s string) string {
	const limit = 120
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
