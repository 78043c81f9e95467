package sink

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"invited/mail/dkim"
	"invited/mail/sink/mime"
	"invited/mail/sink/rules"
	"invited/mail/sink/scenario"
)

// JudgeByRules is an Options.Judge that asks the built-in rules about what the
// sink sees. Mail from this machine has nothing to prove; see [Judge] for mail
// that is to be judged as if it came from elsewhere.
func JudgeByRules(e Envelope, recipient string, raw []byte) rules.Verdict {
	return Judge{}.Rules(e, recipient, raw)
}

// Judge asks the built-in rules within a scenario.
type Judge struct {
	Scenario *scenario.Scenario // nil: only what the sink sees, and what a mail says of itself in X-Sink- fields
	Forced   *Forced            // nil: none; they come before those of the scenario
}

// Rules is an Options.Judge.
func (j Judge) Rules(e Envelope, recipient string, raw []byte) rules.Verdict {
	e.To = []string{recipient}
	return j.All(e, raw, nil)[0]
}

// All is an Options.JudgeAll: the message is read, and its signatures are
// verified, once for all recipients. A nil m is read here.
func (j Judge) All(e Envelope, raw []byte, m *mime.Message) []rules.Verdict {
	if m == nil {
		m, _ = mime.Parse(raw, mime.Limits{}) // what was understood is judged
	}
	s := j.session(e, m)
	scene := rules.Scenario{Helo: s.Helo, MailFrom: e.From, SMTPUTF8: e.SMTPUTF8, Received: e.Received, Forced: j.forced()}
	if s.ClientIP.IsValid() {
		scene.ClientIP = s.ClientIP.String()
	}
	if j.Scenario != nil {
		scene.Contacts, scene.Allow = j.Scenario.Contacts, j.Scenario.Allow
	}
	if s.Judged {
		scene.Auth = j.authenticate(s, m, raw)
	}
	in := ruleInput(raw, m)
	out := make([]rules.Verdict, len(e.To))
	for i, to := range e.To {
		scene.Rcpt = to
		out[i] = rules.Check(in, scene)
	}
	return out
}

// forced returns the rules that decide the folder, those of the list first.
func (j Judge) forced() []rules.Force {
	var out []rules.Force
	if j.Forced != nil {
		out = j.Forced.now()
	}
	if j.Scenario == nil {
		return out
	}
	out = slices.Clip(out) // it is the list's own
	for _, f := range j.Scenario.Force {
		out = append(out, rules.Force(f))
	}
	return out
}

// Session returns how a message is assumed to have come, as [Judge.Rules]
// does.
func (j Judge) Session(e Envelope, raw []byte) scenario.Session {
	m, _ := mime.Parse(raw, mime.Limits{Text: 1, Links: 1})
	return j.session(e, m)
}

func (j Judge) session(e Envelope, m *mime.Message) scenario.Session {
	host, _, err := net.SplitHostPort(e.Remote)
	if err != nil {
		host = e.Remote
	}
	ip, _ := netip.ParseAddr(host)
	real := scenario.Session{ClientIP: ip.Unmap().WithZone(""), Helo: e.Helo, TLS: e.TLS, MailFrom: e.From}
	return j.Scenario.Session(real, m.Get)
}

// authenticate verifies signatures and asks the scenario's DNS.
func (j Judge) authenticate(s scenario.Session, m *mime.Message, raw []byte) *rules.Auth {
	zone := j.Scenario.DNS()
	var signatures []scenario.Signature
	for _, r := range dkim.Verify(raw, zone.TXT) {
		signatures = append(signatures, scenario.Signature{Domain: r.Domain, Selector: r.Selector, Result: string(r.Status), Problem: r.Problem})
	}
	r := scenario.Authenticate(s, zone, fromDomains(m), signatures)
	a := &rules.Auth{
		ClientIP: r.ClientIP, Helo: r.Helo, PTR: r.PTR, TLS: r.TLS, MailFrom: r.MailFrom,
		SPF: r.SPF, SPFDomain: r.SPFDomain, SPFDetail: r.SPFDetail, DKIM: r.DKIM,
		DMARC: r.DMARC, Policy: r.Policy, FromDomain: r.FromDomain, Aligned: r.Aligned,
	}
	for _, sig := range signatures {
		a.Signatures = append(a.Signatures, rules.Signature(sig))
	}
	return a
}

// fromDomains returns the domains the From fields name, each once.
func fromDomains(m *mime.Message) []string {
	var out []string
	seen := map[string]bool{}
	for _, p := range m.From {
		i := strings.LastIndexByte(p.Address, '@')
		domain := strings.ToLower(p.Address[i+1:])
		if i >= 0 && domain != "" && !seen[domain] {
			seen[domain] = true
			out = append(out, domain)
		}
	}
	return out
}

// ruleInput hands a parsed message to the rules.
func ruleInput(raw []byte, m *mime.Message) rules.Input {
	in := rules.Input{
		Raw: raw, Subject: m.Subject, MessageID: m.MessageID, Date: m.Date, Text: m.Text, HTML: m.HTML, HTMLText: m.HTMLText,
		From: rulePeople(m.From), ReplyTo: rulePeople(m.ReplyTo),
	}
	for _, f := range m.Header {
		in.Header = append(in.Header, rules.Field{Name: f.Name, Value: f.Value})
	}
	for _, l := range m.Links {
		in.Links = append(in.Links, rules.Link{URL: l.URL, Text: l.Text})
	}
	for _, p := range m.Parts {
		if p.Multipart() {
			continue
		}
		in.Parts = append(in.Parts, rules.Part{
			ID: p.PartID, ContentType: p.ContentType, Encoding: p.Encoding, FileName: p.FileName,
			ASCII: p.Encoding == "base64" && ascii(p.Content()),
		})
	}
	return in
}

func rulePeople(list []mime.Person) []rules.Person {
	var out []rules.Person
	for _, p := range list {
		out = append(out, rules.Person{Name: p.Name, Address: p.Address})
	}
	return out
}

// ascii reports whether b is all 7-bit.
func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
