package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/net/idna"

	"invited/mail/dkim"
	"invited/mail/sink/scenario"
	"invited/server/doctor"
)

// dnsFlags ask doctor about a domain instead of this machine.
type dnsFlags struct {
	SendingDomain string   `name:"domain" placeholder:"DOMAIN" help:"Print the DNS records to publish for a domain that sends mail, and check them with --resolver or --zone."`
	Resolver      string   `placeholder:"HOST:PORT" help:"Name server to ask, or system for this machine's. Without it nobody is asked."`
	Zone          string   `placeholder:"FILE" help:"Zone file to look into, instead of asking."`
	IPs           []string `name:"ip" placeholder:"ADDRESS" help:"Where mail leaves from (default: the domain's mail servers)."`
}

// examineSender prints what to publish and checks what is published.
func (c doctorCmd) examineSender(e env) error {
	s, err := c.sender()
	if err != nil {
		return err
	}
	resolver, err := c.dnsFlags.resolver()
	if err != nil {
		return err
	}
	if c.Output == "table" {
		fmt.Fprintln(e.stdout, "; publish")
		for _, r := range s.Records() {
			fmt.Fprintln(e.stdout, r.Zone())
		}
		if len(s.Keys) == 0 {
			fmt.Fprintf(e.stdout, "; and the key that mail is signed with: name it with --dkim-key\n")
		}
	}
	if resolver == nil {
		if c.Output == "table" {
			return nil
		}
		t := table{columns: []string{"name", "type", "value"}, value: s.Records()}
		for _, r := range s.Records() {
			t.rows = append(t.rows, []string{r.Name, "TXT", r.Value})
		}
		return c.print(e.stdout, t)
	}
	return c.report(e, s.Examine(e.ctx, resolver))
}

// sender gathers what is known of the domain without asking anybody.
func (c doctorCmd) sender() (doctor.Sender, error) {
	name, err := idna.Lookup.ToASCII(strings.ToLower(strings.TrimSuffix(c.SendingDomain, ".")))
	if err != nil || !strings.Contains(name, ".") {
		return doctor.Sender{}, &exitError{exitUsage, fmt.Sprintf("--domain %q is not a domain such as contoso.example", c.SendingDomain)}
	}
	s := doctor.Sender{Domain: name, Selector: c.Selector}
	for _, text := range c.IPs {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return s, &exitError{exitUsage, fmt.Sprintf("--ip %q is not an address such as 192.0.2.10", text)}
		}
		s.IPs = append(s.IPs, ip.Unmap())
	}
	if c.Key == "" {
		return s, nil
	}
	keys, err := dkim.Load(c.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return s, &exitError{exitNotFound, "--dkim-key: there is no file " + c.Key}
	}
	if err != nil {
		return s, &exitError{exitConfig, "--dkim-key: " + strings.TrimPrefix(err.Error(), "dkim: ")}
	}
	domain := strings.ToLower(c.Domain)
	if domain == "" {
		domain = name
	}
	signer, err := dkim.NewSigner(dkim.Options{Domain: domain, Selector: c.Selector, Keys: keys})
	if err != nil {
		return s, &exitError{exitUsage, strings.TrimPrefix(err.Error(), "dkim: ")}
	}
	s.Keys = signer.Records()
	return s, nil
}

// resolver returns whom to ask; nil: nobody.
func (f dnsFlags) resolver() (doctor.Resolver, error) {
	switch {
	case f.Zone != "" && f.Resolver != "":
		return nil, &exitError{exitUsage, "--zone and --resolver exclude each other"}
	case f.Zone != "":
		text, err := os.ReadFile(f.Zone)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &exitError{exitNotFound, "--zone: there is no file " + f.Zone}
		}
		if err != nil {
			return nil, err
		}
		zone, err := scenario.ParseZone(string(text))
		if err != nil {
			return nil, &exitError{exitUsage, fmt.Sprintf("--zone %s: %s", f.Zone, strings.TrimPrefix(err.Error(), "scenario: "))}
		}
		return zone, nil
	case f.Resolver == "":
		return nil, nil
	case f.Resolver == "system":
		return net.DefaultResolver, nil
	}
	if _, _, err := net.SplitHostPort(f.Resolver); err != nil {
		return nil, &exitError{exitUsage, fmt.Sprintf("--resolver %q must be HOST:PORT, such as 192.0.2.53:53, or system", f.Resolver)}
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, f.Resolver)
	}}, nil
}
