package letters

import (
	"strings"

	"invited/mail"
	"invited/server/invite"
)

// maxName is how many characters a name in a header may have; longer ones are
// how display names become lures.
const maxName = 64

// entraSender is the sender of each generation of Entra's mail. An empty
// address is made from the tenant's initial domain.
var entraSender = map[int]struct{ name, address string }{
	1: {"{inviter} from {tenant} (via Microsoft)", "invites@microsoft.com"},
	2: {"Microsoft Invitations on behalf of {tenant}", "invites@microsoft.com"},
	3: {"Microsoft Invitations on behalf of {domain}", ""},
}

// from returns the sender of a letter.
func (w *Writer) from(l invite.LetterData) mail.Mailbox {
	pattern, address := w.opts.SenderName, w.sender
	if w.opts.Emulator {
		entra := entraSender[w.opts.Generation]
		if pattern == "" {
			pattern = entra.name
			if w.opts.Generation == 1 && l.Invitation.InviterName == "" {
				pattern = "Microsoft Invitations"
			}
		}
		if address.IsZero() {
			address = addressOf(entra.address)
		}
		if address.IsZero() {
			address = mail.Address{Local: "invites", Domain: l.Tenant.InitialDomain}
		}
	}
	if pattern == "" {
		pattern = "{tenant}"
	}
	name := strings.NewReplacer(
		"{tenant}", clip(l.Tenant.DisplayName),
		"{domain}", l.Tenant.PrimaryDomain,
		"{inviter}", clip(firstOf(l.Invitation.InviterName, l.Tenant.DisplayName)),
	).Replace(pattern)
	return mail.Mailbox{Name: name, Address: address}
}

// replyTo returns the inviter's mailbox; zero if the inviter has none.
func replyTo(inv invite.Invitation) mail.Mailbox {
	a := addressOf(inv.InviterMail)
	if a.IsZero() {
		return mail.Mailbox{}
	}
	return mail.Mailbox{Name: usable(inv.InviterName), Address: a}
}

// addressOf returns the address in s, or the zero address.
func addressOf(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return mail.Address{}
	}
	return a
}

// usable returns a name if it may stand in a header, and none otherwise: a
// mail without the recipient's name is better than no mail.
func usable(name string) string {
	if mail.ValidName(name, 2*maxName) != nil {
		return ""
	}
	return name
}

// clip cuts a name to [maxName] characters.
func clip(s string) string {
	r := []rune(s)
	if len(r) <= maxName {
		return s
	}
	return strings.TrimSpace(string(r[:maxName-1])) + "…"
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
