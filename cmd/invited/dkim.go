package main

import (
	"errors"
	"fmt"
	"io/fs"
	netmail "net/mail"
	"strings"

	"invited/mail/dkim"
)

// dkimFlags say how mail is signed.
type dkimFlags struct {
	Key      string `name:"dkim-key" placeholder:"FILE" help:"Sign mail with the keys of this PEM file, made by: invited keys dkim."`
	Selector string `name:"dkim-selector" default:"invited" placeholder:"NAME" help:"The key is published at NAME._domainkey.DOMAIN."`
	Domain   string `name:"dkim-domain" placeholder:"DOMAIN" help:"Who answers for signed mail (default: the domain of --sender)."`
}

// newSigner returns what signs mail from the mailbox sender; nil if no key is
// configured.
func (f dkimFlags) newSigner(sender string) (*dkim.Signer, error) {
	if f.Key == "" {
		return nil, nil
	}
	from := ""
	if mailbox, err := netmail.ParseAddress(sender); err == nil {
		_, from, _ = strings.Cut(mailbox.Address, "@")
		from = strings.ToLower(from)
	}
	domain := strings.ToLower(f.Domain)
	if domain == "" {
		domain = from
	}
	if domain == "" {
		return nil, &exitError{exitUsage, "--dkim-key needs --dkim-domain, or --sender with a domain of your own"}
	}
	if from != "" && from != domain && !strings.HasSuffix(from, "."+domain) && !strings.HasSuffix(domain, "."+from) {
		return nil, &exitError{exitConfig, fmt.Sprintf("--dkim-domain %s does not align with the domain %s of --sender: receivers would not count the signature (DMARC)", domain, from)}
	}
	keys, err := dkim.Load(f.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &exitError{exitConfig, fmt.Sprintf("--dkim-key: there is no file %s; make it with: invited keys dkim --dkim-key %s --dkim-domain %s", f.Key, f.Key, domain)}
	}
	if err != nil {
		return nil, &exitError{exitConfig, "--dkim-key: " + strings.TrimPrefix(err.Error(), "dkim: ")}
	}
	s, err := dkim.NewSigner(dkim.Options{Domain: domain, Selector: f.Selector, Keys: keys})
	if err != nil {
		return nil, &exitError{exitConfig, "--dkim-key, --dkim-selector, --dkim-domain: " + strings.TrimPrefix(err.Error(), "dkim: ")}
	}
	return s, nil
}

type keysDKIMCmd struct {
	dkimFlags
	Second bool `name:"ed25519" help:"Make an Ed25519 key too, for a second signature."`
}

// Run makes the file of keys if it is not there, and prints what to publish.
func (c keysDKIMCmd) Run(e env) error {
	if c.Key == "" || c.Domain == "" {
		return &exitError{exitUsage, "name the file and the domain: --dkim-key FILE --dkim-domain DOMAIN"}
	}
	keys, err := dkim.Load(c.Key)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		keys, err = dkim.Generate(c.Second)
	}
	if err != nil {
		return err
	}
	s, err := dkim.NewSigner(dkim.Options{Domain: strings.ToLower(c.Domain), Selector: c.Selector, Keys: keys})
	if err != nil {
		return &exitError{exitUsage, strings.TrimPrefix(err.Error(), "dkim: ")}
	}
	if made {
		if err := keys.Save(c.Key); err != nil {
			return err
		}
		fmt.Fprintf(e.stderr, "made %s; publish these records and keep the file to yourself:\n", c.Key)
	}
	for _, r := range s.Records() {
		if _, err := fmt.Fprintln(e.stdout, r.Zone()); err != nil {
			return err
		}
	}
	return nil
}
