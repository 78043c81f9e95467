package main

import (
	"context"
	"errors"

	"invited/mail"
	"invited/mail/sink"
	"invited/server/directory"
	"invited/server/invite"
	"invited/tokens"
)

// tickets lets package invite sign links without knowing package tokens.
type tickets struct{ issuer *tokens.Issuer }

// Issue implements invite.Tickets.
func (t tickets) Issue(c invite.Claims) (string, error) {
	return t.issuer.Issue(tokens.Claims{
		Tenant: string(c.Tenant), Subject: string(c.User), Invitation: string(c.Invitation), Generation: c.Generation,
		JTI: c.JTI, Issued: c.Issued, Expires: c.Expires,
	})
}

// Verify implements invite.Tickets.
func (t tickets) Verify(ticket string) (invite.Claims, error) {
	c, err := t.issuer.Verify(ticket)
	out := invite.Claims{
		Tenant: directory.TenantID(c.Tenant), User: directory.UserID(c.Subject), Invitation: invite.ID(c.Invitation),
		Generation: c.Generation, JTI: c.JTI, Issued: c.Issued, Expires: c.Expires,
	}
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, tokens.ErrExpired):
		return out, invite.ErrTicketExpired
	default:
		return invite.Claims{}, errors.Join(invite.ErrTicketInvalid, err)
	}
}

// mailboxes lets package invite ask the sink where a mail was filed.
type mailboxes struct{ sink *sink.Sink }

// Filed implements invite.Mailboxes.
func (m mailboxes) Filed(ctx context.Context, messageID string, to mail.Address) (invite.Filing, bool, error) {
	c, r, ok, err := m.sink.Filed(ctx, messageID, to.String())
	if err != nil || !ok {
		return invite.Filing{}, false, err
	}
	f := invite.Filing{ID: c.ID, Folder: string(r.Folder), At: c.Envelope.Received, Score: r.Verdict.Score}
	for _, h := range r.Verdict.Hits {
		f.Hits = append(f.Hits, invite.Hit(h))
	}
	return f, true, nil
}
