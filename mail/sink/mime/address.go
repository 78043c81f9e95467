package mime

import (
	netmail "net/mail"
	"strings"
)

const (
	maxPersons     = 1000     // of one field
	maxAddressList = 64 << 10 // bytes read of one field
	maxAddressItem = 1 << 10  // bytes of one mailbox with its name
)

// readAddresses fills the fields of the message that come from its header.
func (w *walker) readAddresses() {
	m := w.msg
	for _, f := range []struct {
		name string
		into *[]Person
	}{{"From", &m.From}, {"To", &m.To}, {"Cc", &m.Cc}, {"Bcc", &m.Bcc}, {"Reply-To", &m.ReplyTo}} {
		for _, h := range m.Header {
			if strings.EqualFold(h.Name, f.name) {
				*f.into = w.persons(*f.into, f.name, h.Value)
			}
		}
	}
	m.Subject = m.Get("Subject")
	m.MessageID = messageID(m.Get("Message-ID"))
	if v := m.Get("Date"); v != "" {
		if len(v) > 200 {
			v = v[:200]
		}
		date, err := netmail.ParseDate(v)
		if err != nil {
			w.problem("Date cannot be read (RFC 5322 section 3.3)")
		} else {
			m.Date = date
		}
	}
}

// messageID returns the id without its brackets.
func messageID(v string) string {
	if i := strings.IndexByte(v, '<'); i >= 0 {
		v = v[i+1:]
		if j := strings.IndexByte(v, '>'); j >= 0 {
			v = v[:j]
		}
	}
	return strings.TrimSpace(v)
}

// persons appends the mailboxes of an address list to out. One that cannot be
// read is taken apart as well as it goes, and named.
func (w *walker) persons(out []Person, field, value string) []Person {
	if len(value) > maxAddressList {
		w.problem("%s is longer than %d bytes", field, maxAddressList)
		value = value[:maxAddressList]
	}
	for _, item := range splitAddresses(value) {
		if len(out) >= maxPersons {
			w.problem("%s has more than %d addresses", field, maxPersons)
			return out
		}
		if w.spent() {
			return out
		}
		p, ok := parsePerson(item)
		if !ok {
			w.problem("%s holds an address that cannot be read (RFC 5322 section 3.4)", field)
		}
		if p != (Person{}) {
			out = append(out, p)
		}
	}
	return out
}

var addressParser = netmail.AddressParser{WordDecoder: &wordDecoder}

// parsePerson reads one mailbox; ok is false if it breaks the grammar.
func parsePerson(s string) (p Person, ok bool) {
	if len(s) <= maxAddressItem {
		if a, err := addressParser.Parse(s); err == nil {
			return Person{Name: a.Name, Address: a.Address}, true
		}
	} else {
		s = s[:maxAddressItem]
	}
	open := strings.LastIndexByte(s, '<')
	if open < 0 {
		return Person{Address: strings.TrimSpace(decodeWords(s))}, false
	}
	address, _, _ := strings.Cut(s[open+1:], ">")
	name := strings.Trim(strings.TrimSpace(s[:open]), `"`)
	return Person{Name: decodeWords(name), Address: strings.TrimSpace(address)}, false
}

// splitAddresses cuts an address list at its commas, outside quotes, comments
// and brackets, and takes groups apart (RFC 5322 section 3.4).
func splitAddresses(s string) []string {
	var items []string
	start := 0
	bracket, at := false, false
	add := func(end int) {
		if item := strings.TrimSpace(s[start:end]); item != "" {
			items = append(items, item)
		}
		start, at = end+1, false
	}
	for i := 0; i < len(s) && len(items) <= maxPersons; i++ {
		switch s[i] {
		case '"', '(':
			i = skipQuoted(s, i)
		case '<', '>':
			bracket = s[i] == '<'
		case '@':
			at = true
		case ',', ';':
			if !bracket {
				add(i)
			}
		case ':':
			if !bracket && !at {
				start = i + 1 // the name of a group
			}
		}
	}
	if start < len(s) {
		add(len(s))
	}
	return items
}

// skipQuoted returns the index of the last byte of the quoted string or comment
// that begins at i.
func skipQuoted(s string, i int) int {
	comment := s[i] == '('
	for depth := 1; depth > 0 && i+1 < len(s); {
		i++
		switch {
		case s[i] == '\\':
			i++
		case comment && s[i] == '(':
			depth++
		case comment && s[i] == ')', !comment && s[i] == '"':
			depth--
		}
	}
	return i
}
