// Package letters writes the invitation mail: it picks the language, the
// sender and what may be said, fills the template and renders the message.
//
//	LetterData ──▶ templates.InvitationMail ──▶ compose.Draft ──▶ mail.Message
//	                                                  signed, if there is a [Signer]
//
// It does not decide who is invited or when, does not sign links, and neither
// queues nor sends. The same data always gives the same bytes below the
// signature, so a mail can be rendered again for a copy.
//
// The sender that looks like Entra's exists only in emulator mode, while mail
// cannot leave the built-in sink; every such mail says so in X-Invitation-Test.
package letters

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"invited/mail"
	"invited/mail/compose"
	"invited/server/invite"
	"invited/server/problem"
	"invited/templates"
)

// Options configures a [Writer].
type Options struct {
	// Emulator makes mail look like Entra's where nothing else is set, and
	// marks it as a test. Set it only while mail goes to the sink.
	Emulator bool

	// SenderName is the display name of From. {tenant}, {domain} and
	// {inviter} stand for the names of the invitation. Empty: in emulator
	// mode that of the generation, such as "Microsoft Invitations on behalf
	// of {tenant}", otherwise "{tenant}".
	SenderName string
	// SenderAddress is the address of From. Required unless Emulator is
	// set; then empty means that of the generation.
	SenderAddress string
	// EnvelopeFrom is the reverse-path; {id} stands for the mail, so that a
	// bounce can be told from others (see invite.BounceID), {domain} for the
	// domain of From. Empty: the address of From.
	EnvelopeFrom string

	Brand           string // who delivers the mail, in its footer; empty: "Invited", or the sender's domain
	Generation      int    // 1, 2 or 3: which of Entra's mails to follow; 0 means 2
	MessageIDDomain string // right side of Message-ID; empty: the domain of From

	// BlockURL returns the page on which a guest blocks invitations of the
	// organisation. Nil, or an empty answer: the mail offers none.
	BlockURL func(invite.LetterData) string

	Sign Signer           // nil: mail is not signed
	Now  func() time.Time // for letters without a date of their own; nil means time.Now
}

// Signer puts signatures on top of a rendered mail. Implemented by
// *dkim.Signer.
type Signer interface {
	Sign(raw []byte) ([]byte, error)
}

// Writer writes letters. It is safe for concurrent use. It implements
// invite.Letters.
type Writer struct {
	opts   Options
	sender mail.Address // zero: that of the generation
}

var _ invite.Letters = (*Writer)(nil)

// New returns a writer, or an error that names the option at fault.
func New(o Options) (*Writer, error) {
	if o.Generation == 0 {
		o.Generation = 2
	}
	if o.Generation < 1 || o.Generation > 3 {
		return nil, fmt.Errorf("letters: Options.Generation is %d, not 1, 2 or 3", o.Generation)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Writer{opts: o}
	if o.SenderAddress == "" && !o.Emulator {
		return nil, errors.New("letters: Options.SenderAddress is empty")
	}
	if o.SenderAddress != "" {
		a, err := mail.ParseAddress(o.SenderAddress)
		if err != nil {
			return nil, fmt.Errorf("letters: Options.SenderAddress: %w", err)
		}
		w.sender = a
	}
	if err := mail.ValidName(o.SenderName, maxName); err != nil {
		return nil, fmt.Errorf("letters: Options.SenderName: %w", err)
	}
	if err := mail.ValidName(o.Brand, maxName); err != nil {
		return nil, fmt.Errorf("letters: Options.Brand: %w", err)
	}
	if o.MessageIDDomain != "" {
		if a, err := mail.ParseAddress("id@" + o.MessageIDDomain); err != nil || a.Domain != o.MessageIDDomain {
			return nil, errors.New("letters: Options.MessageIDDomain is not a lower-case domain name with a dot")
		}
	}
	if _, err := mail.ParsePath(strings.NewReplacer("{id}", "id", "{domain}", "mail.example").Replace(o.EnvelopeFrom)); err != nil {
		return nil, fmt.Errorf("letters: Options.EnvelopeFrom: %w", err)
	}
	return w, nil
}

// Invitation renders the mail to the guest.
func (w *Writer) Invitation(_ context.Context, l invite.LetterData) (mail.Message, error) {
	return w.write("letters.Invitation", l, mail.Address{})
}

// Copy renders the copy for the one person of ccRecipients; false if there is
// none. It says the same as the guest's mail except for the link, which is the
// guest's credential: the copy says who has it.
func (w *Writer) Copy(_ context.Context, l invite.LetterData) (mail.Message, bool, error) {
	if l.Invitation.CC == nil {
		return mail.Message{}, false, nil
	}
	m, err := w.write("letters.Copy", l, *l.Invitation.CC)
	return m, err == nil, err
}

// write renders a letter for a recipient; zero means the guest.
func (w *Writer) write(op string, l invite.LetterData, recipient mail.Address) (mail.Message, error) {
	lang := templates.Match(l.Invitation.Language, l.Guest.PreferredLanguage, l.Tenant.Language)
	content := w.content(l)
	if content.Copy = !recipient.IsZero(); content.Copy {
		content.RedeemURL, content.BlockURL = "", ""
	}
	text, err := content.Render(lang)
	if err != nil {
		return mail.Message{}, &problem.Error{Op: op, Kind: problem.Internal, Detail: "The invitation mail could not be written.", Err: err}
	}
	d := w.draft(l, recipient)
	if content.Copy {
		d.MessageID = "copy." + d.MessageID
	}
	d.Subject, d.Text, d.HTML, d.Language = text.Subject, text.Text, text.HTML, lang
	d.Unsubscribe = content.BlockURL
	d.OneClick = strings.HasPrefix(content.BlockURL, "https://")
	return w.finish(op, d)
}

// finish renders a draft, and signs it if there is a signer.
func (w *Writer) finish(op string, d compose.Draft) (mail.Message, error) {
	m, err := compose.Render(d)
	if err != nil {
		return mail.Message{}, refusal(op, err)
	}
	if w.opts.Sign == nil {
		return m, nil
	}
	if m.Raw, err = w.opts.Sign.Sign(m.Raw); err != nil {
		return mail.Message{}, &problem.Error{Op: op, Kind: problem.Internal, Detail: "The mail could not be signed.", Err: err}
	}
	return m, nil
}

// content returns what the mail says.
func (w *Writer) content(l invite.LetterData) templates.InvitationMail {
	inv := l.Invitation
	m := templates.InvitationMail{
		Generation:   w.opts.Generation,
		Organization: l.Tenant.DisplayName,
		Domain:       l.Tenant.PrimaryDomain,
		Inviter:      inv.InviterName,
		Reply:        !replyTo(inv).IsZero(),
		RedirectURL:  inv.RedirectURL,
		RedeemURL:    l.RedeemURL,
		PrivacyURL:   l.Tenant.PrivacyURL,
		Expires:      inv.Expires,
		Recipient:    inv.Email.Display(),
		Brand:        w.brand(),
	}
	// As in Entra, a message nobody can answer is not passed on: that of an
	// application, or of an inviter without mail.
	if inv.InviterName != "" && m.Reply {
		m.Message = inv.Message
	}
	if w.opts.BlockURL != nil {
		m.BlockURL = w.opts.BlockURL(l)
	}
	return m
}

// draft returns the header and envelope of the mail.
func (w *Writer) draft(l invite.LetterData, recipient mail.Address) compose.Draft {
	inv := l.Invitation
	from := w.from(l)
	id := string(inv.ID) + "." + strconv.Itoa(max(l.Send, 1))
	domain := w.opts.MessageIDDomain
	if domain == "" {
		domain = from.Address.Domain
	}
	bounce := id
	if matched := invite.BounceID(l.Tenant.ID, l.Mail); matched != "" {
		bounce = matched
	}
	envelope := strings.NewReplacer("{id}", bounce, "{domain}", from.Address.Domain).Replace(w.opts.EnvelopeFrom)
	if envelope == "" {
		envelope = from.Address.String()
	}
	date := l.Now
	if date.IsZero() {
		date = w.opts.Now()
	}
	d := compose.Draft{
		MessageID:    id + "@" + domain,
		Date:         date,
		From:         from,
		ReplyTo:      replyTo(inv),
		To:           mail.Mailbox{Name: usable(firstOf(inv.DisplayName, l.Guest.DisplayName)), Address: inv.Email},
		FeedbackID:   "invitation:" + string(l.Tenant.ID) + ":invited:" + from.Address.Domain,
		Extra:        []compose.Field{{Name: "X-Invitation-ID", Value: string(inv.ID)}},
		EnvelopeFrom: envelope,
		Recipient:    recipient,
	}
	if inv.CC != nil {
		d.Cc = []mail.Mailbox{{Name: usable(inv.CCName), Address: *inv.CC}}
	}
	if w.opts.Emulator {
		d.Extra = append(d.Extra, compose.Field{Name: "X-Invitation-Test", Value: "sink-only"})
	}
	return d
}

// brand returns who delivers the mail.
func (w *Writer) brand() string {
	switch {
	case w.opts.Brand != "":
		return w.opts.Brand
	case w.opts.Emulator:
		return "Invited"
	default:
		return w.sender.Domain
	}
}

// refusal turns what the composer refused into a problem. The fields that come
// from a request are the caller's to correct.
func refusal(op string, err error) error {
	var e *compose.FieldError
	if !errors.As(err, &e) {
		return &problem.Error{Op: op, Kind: problem.Internal, Detail: "The invitation mail could not be written.", Err: err}
	}
	field, known := map[string]string{"From.Name": "organization.displayName", "Subject": "invitedBy.displayName", "To": "invitedUserEmailAddress", "Cc": "ccRecipients"}[e.Field]
	if !known {
		return &problem.Error{Op: op, Kind: problem.Internal, Detail: "The invitation mail could not be written.", Err: err}
	}
	p := problem.BadField(op, field, "The invitation mail cannot carry this value: "+e.Rule+". Correct it and try again.")
	p.Err = err
	return p
}
