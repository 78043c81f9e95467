package letters

import (
	"context"

	"invited/mail"
	"invited/server/invite"
	"invited/server/problem"
	"invited/templates"
)

// Code renders the mail with a one-time passcode. It has no link, no Reply-To
// and no List-Unsubscribe: the recipient has asked for this one mail, and
// nobody answers it.
func (w *Writer) Code(_ context.Context, d invite.CodeData) (mail.Message, error) {
	const op = "letters.Code"
	lang := templates.Match(d.Invitation.Language, d.Guest.PreferredLanguage, d.Tenant.Language)
	text, err := templates.CodeMail{
		Organization: d.Tenant.DisplayName, Domain: d.Tenant.PrimaryDomain, Code: d.Code, Purpose: string(d.Purpose), Lifetime: d.Lifetime,
		Recipient: d.Invitation.Email.Display(), Brand: w.brand(),
	}.Render(lang)
	if err != nil {
		return mail.Message{}, &problem.Error{Op: op, Kind: problem.Internal, Detail: "The mail with the code could not be written.", Err: err}
	}
	inv := d.Invitation
	inv.InviterMail, inv.CC = "", nil
	draft := w.draft(invite.LetterData{Tenant: d.Tenant, Guest: d.Guest, Invitation: inv, Mail: d.ID, Now: d.Now}, mail.Address{})
	domain := w.opts.MessageIDDomain
	if domain == "" {
		domain = draft.From.Address.Domain
	}
	draft.MessageID = "code." + d.ID + "@" + domain
	draft.FeedbackID = "code:" + string(d.Tenant.ID) + ":invited:" + draft.From.Address.Domain
	draft.Subject, draft.Text, draft.HTML, draft.Language = text.Subject, text.Text, text.HTML, lang
	return w.finish(op, draft)
}
