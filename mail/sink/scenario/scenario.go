// Package scenario says what a receiving mail server would know of a mail
// besides its text: which address brought it, under which name, and what the
// DNS says of all involved.
//
// A test writes that down in a file, so that SPF, DKIM and DMARC are judged
// without a network and always alike:
//
//	scenario file ──▶ Scenario ─┐
//	envelope, X-Sink- fields ───┴─▶ Session ──Authenticate(zone)──▶ Results
//
// The package judges authenticity only. What it means for the folder is said
// by mail/sink/rules; signatures are verified by mail/dkim, and handed in.
package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Scenario is what mail is judged against. The nil Scenario, and one that
// names no address, see what the sink sees: mail from this machine, whose
// authenticity cannot be judged.
type Scenario struct {
	ClientIP netip.Addr // of the server that seems to bring the mail; invalid: that of the connection
	Helo     string     // its EHLO; empty: that of the connection
	PTR      string     // its name in reverse DNS; empty: what Zone says; "-": none
	TLS      *bool      // whether it spoke TLS; nil: whether the connection did
	Zone     *Zone

	Contacts []string // globs over the address of From: the recipient knows them
	Allow    []string // globs over the address of From: an administrator lets them in
	Force    []Force  // the first that matches decides the folder
}

// Force files matching mail in a folder whatever is thought of it.
type Force struct {
	To, From string // globs over recipient and reverse-path; empty matches all
	Folder   string // Inbox or Junk
	Reason   string
}

// fileJSON is a scenario as a file has it.
type fileJSON struct {
	ClientIP string   `json:"clientIP"`
	Helo     string   `json:"helo"`
	PTR      string   `json:"ptr"`
	TLS      *bool    `json:"tls"`
	Zone     string   `json:"zone"`    // path of a zone file, beside the scenario's
	Records  []string `json:"records"` // lines of a zone file
	Contacts []string `json:"contacts"`
	Allow    []string `json:"allow"`
	Force    []struct {
		To     string `json:"to"`
		From   string `json:"from"`
		Folder string `json:"folder"`
		Reason string `json:"reason"`
	} `json:"force"`
}

const (
	maxFile    = 1 << 20 // bytes of JSON
	maxList    = 1000    // entries of each list
	maxPattern = 320     // bytes of a glob
)

// Load reads a scenario file, and the zone file it names.
func Load(path string) (*Scenario, error) {
	data, err := readFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	return Parse(data, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return readFile(name, MaxZone)
	})
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("scenario: %s is larger than 1 MiB", path)
	}
	return data, nil
}

// Parse reads a scenario from JSON. open reads the zone file it names; nil
// refuses zone files. A member nobody knows is an error.
func Parse(data []byte, open func(name string) ([]byte, error)) (*Scenario, error) {
	var in fileJSON
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("scenario: there is text after the object")
	}
	s := &Scenario{Helo: in.Helo, PTR: in.PTR, TLS: in.TLS, Contacts: in.Contacts, Allow: in.Allow}
	if in.ClientIP != "" {
		var err error
		if s.ClientIP, err = netip.ParseAddr(in.ClientIP); err != nil || s.ClientIP.Zone() != "" {
			return nil, fmt.Errorf("scenario: clientIP %q is not an IP address", in.ClientIP)
		}
	}
	if !plain(in.Helo) {
		return nil, errors.New("scenario: helo is not a host name or address literal")
	}
	if _, ok := canonical(in.PTR); !ok && in.PTR != "" && in.PTR != "-" {
		return nil, errors.New(`scenario: ptr is not a host name; "-" stands for none`)
	}
	for _, f := range in.Force {
		if !strings.EqualFold(f.Folder, "Inbox") && !strings.EqualFold(f.Folder, "Junk") {
			return nil, fmt.Errorf("scenario: the folder %q of force is neither Inbox nor Junk", f.Folder)
		}
		s.Force = append(s.Force, Force(f))
	}
	if err := s.checkLists(); err != nil {
		return nil, err
	}
	var err error
	s.Zone, err = in.openZone(open)
	return s, err
}

// checkLists holds the measure of the lists.
func (s *Scenario) checkLists() error {
	if len(s.Contacts) > maxList || len(s.Allow) > maxList || len(s.Force) > maxList {
		return errors.New("scenario: a list has more than 1,000 entries")
	}
	patterns := append(append([]string(nil), s.Contacts...), s.Allow...)
	for _, p := range patterns {
		if p == "" {
			return errors.New("scenario: a pattern of contacts or allow is empty; * matches everybody")
		}
	}
	for _, f := range s.Force {
		patterns = append(patterns, f.To, f.From)
	}
	for _, p := range patterns {
		if len(p) > maxPattern {
			return errors.New("scenario: a pattern is longer than an address can be")
		}
	}
	return nil
}

func (in fileJSON) openZone(open func(string) ([]byte, error)) (*Zone, error) {
	text := ""
	if in.Zone != "" {
		if open == nil {
			return nil, errors.New("scenario: zone: files are not read here; use records")
		}
		data, err := open(in.Zone)
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	if len(in.Records) > 0 {
		text += "\n" + strings.Join(in.Records, "\n")
	}
	return ParseZone(text)
}

// plain reports whether s may be the name in an EHLO.
func plain(s string) bool {
	return len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Header fields by which one mail says what is to be assumed of it. They count
// only in mail that comes from this machine.
const (
	ClientIPField = "X-Sink-Client-IP"
	HeloField     = "X-Sink-Helo"
	PTRField      = "X-Sink-PTR"
	TLSField      = "X-Sink-TLS" // yes or no
)

// Session is how a mail came, or is assumed to have come.
type Session struct {
	ClientIP netip.Addr
	Helo     string
	PTR      string // "-": none; empty: what the zone says
	TLS      bool
	MailFrom string // reverse-path without brackets; empty is the null sender

	// Judged tells that authenticity can be judged: a scenario or the mail
	// itself names the client, or it is another machine and there is a zone.
	Judged bool
}

// Session returns what is assumed of a mail that came by the connection real,
// with field reading its header. Values of fields that make no sense are passed
// over.
func (s *Scenario) Session(real Session, field func(name string) string) Session {
	out := real
	local := real.ClientIP.IsLoopback()
	out.Judged = real.ClientIP.IsValid() && !local && s.DNS() != nil
	if s != nil {
		out.assume(s.ClientIP, s.Helo, s.PTR, s.TLS)
	}
	if !local || field == nil {
		return out
	}
	ip, _ := netip.ParseAddr(strings.TrimSpace(field(ClientIPField)))
	helo := strings.TrimSpace(field(HeloField))
	if !plain(helo) {
		helo = ""
	}
	ptr := strings.TrimSpace(field(PTRField))
	if _, ok := canonical(ptr); !ok && ptr != "-" {
		ptr = ""
	}
	var tls *bool
	switch said := strings.ToLower(strings.TrimSpace(field(TLSField))); said {
	case "yes", "no":
		yes := said == "yes"
		tls = &yes
	}
	out.assume(ip.WithZone(""), helo, ptr, tls)
	return out
}

// assume replaces what is given. An address makes the session worth judging.
func (s *Session) assume(ip netip.Addr, helo, ptr string, tls *bool) {
	if ip.IsValid() {
		s.ClientIP, s.Judged = ip.Unmap(), true
	}
	if helo != "" {
		s.Helo = helo
	}
	if ptr != "" {
		s.PTR = ptr
	}
	if tls != nil {
		s.TLS = *tls
	}
}

// DNS returns the zone of the scenario; nil, which is empty, if there is none.
func (s *Scenario) DNS() *Zone {
	if s == nil {
		return nil
	}
	return s.Zone
}
