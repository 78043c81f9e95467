package main

import (
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"strings"
	"time"

	"invited/server/letters"
)

// protectedBrands are names that a mail to the world may not be sent under.
// They are compared with the sender's domain and display name.
var protectedBrands = []string{
	"microsoft", "azure", "entra", "office", "outlook", "hotmail", "onmicrosoft", "windows", "google", "apple", "amazon", "paypal",
}

// loopbackOnly refuses to listen where other machines could reach us: nothing
// here asks for a password.
func loopbackOnly(flag, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return &exitError{exitUsage, fmt.Sprintf("%s %q must be HOST:PORT, such as 127.0.0.1:8080", flag, addr)}
	}
	if isLoopback(host) {
		return nil
	}
	return &exitError{exitConfig, fmt.Sprintf("%s %s would let other machines in, and there is no sign-in for them yet; listen on 127.0.0.1 and put a proxy in front", flag, addr)}
}

// isLoopback reports whether a host name or address is this machine.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// guardRelay holds the rule that the Microsoft-like sender exists only while
// mail stays on this machine: a relay elsewhere needs a sender of one's own.
func guardRelay(relay, sender string) error {
	u, err := url.Parse(relay)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return &exitError{exitUsage, "--relay must be a URL such as smtp://127.0.0.1:25 or smtps://user:password@mail.contoso.example"}
	}
	if sender == "" {
		if isLoopback(u.Hostname()) {
			return nil
		}
		return &exitError{exitConfig, "--relay leads to another machine, so --sender is needed: a mailbox in a domain of your own, such as 'Contoso Invitations <invite@contoso.example>'"}
	}
	mailbox, err := netmail.ParseAddress(sender)
	if err != nil {
		return &exitError{exitUsage, fmt.Sprintf("--sender %q is not a mailbox such as 'Contoso Invitations <invite@contoso.example>'", sender)}
	}
	_, domain, _ := strings.Cut(mailbox.Address, "@")
	for _, brand := range protectedBrands {
		if strings.Contains(strings.ToLower(domain+" "+mailbox.Name), brand) {
			return &exitError{exitConfig, fmt.Sprintf("--sender %q uses the name %q, which is not yours to send under; use your own", sender, brand)}
		}
	}
	return nil
}

// letterOptions says under which name mail goes out.
func letterOptions(c config, emulator bool, now func() time.Time) letters.Options {
	o := letters.Options{Emulator: emulator || c.Sender == "", Now: now}
	if mailbox, err := netmail.ParseAddress(c.Sender); err == nil {
		o.SenderName, o.SenderAddress = mailbox.Name, mailbox.Address
	}
	return o
}
