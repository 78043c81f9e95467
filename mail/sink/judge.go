package sink

import (
	"net"

	"invited/mail/sink/mime"
	"invited/mail/sink/rules"
)

// JudgeByRules is an Options.Judge that asks the built-in rules.
func JudgeByRules(e Envelope, recipient string, raw []byte) rules.Verdict {
	return judgeByRules(e, recipient, raw, nil)
}

func judgeByRules(e Envelope, recipient string, raw []byte, forced []rules.Force) rules.Verdict {
	m, _ := mime.Parse(raw, mime.Limits{}) // what was understood is judged
	host, _, err := net.SplitHostPort(e.Remote)
	if err != nil {
		host = e.Remote
	}
	return rules.Check(ruleInput(raw, m), rules.Scenario{
		Helo: e.Helo, ClientIP: host, MailFrom: e.From, Rcpt: recipient, SMTPUTF8: e.SMTPUTF8, Received: e.Received, Forced: forced,
	})
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
