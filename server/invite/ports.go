package invite

import (
	"context"
	"errors"
	"time"

	"invited/mail"
	"invited/server/directory"
)

// Errors of [Tickets.Verify].
var (
	ErrTicketInvalid = errors.New("invite: ticket is not ours or mangled")
	ErrTicketExpired = errors.New("invite: ticket is past its lifetime")
)

// Tickets signs and verifies the links. Implemented over package tokens, whose
// errors the implementation translates.
type Tickets interface {
	Issue(Claims) (string, error)
	// Verify checks origin and form only. Its errors are ErrTicketInvalid
	// and, for a ticket that is ours but past its lifetime,
	// ErrTicketExpired together with the claims.
	Verify(ticket string) (Claims, error)
}

// Letters renders mail. Implemented by package letters.
type Letters interface {
	Invitation(ctx context.Context, l LetterData) (mail.Message, error)
	// Copy is for the one person the inviter wants informed; false if there
	// is none. It never carries the link, which is the guest's credential.
	Copy(ctx context.Context, l LetterData) (mail.Message, bool, error)
	// Code is the mail with a one-time passcode. It holds no link.
	Code(ctx context.Context, d CodeData) (mail.Message, error)
}

// LetterData is everything an invitation mail says.
type LetterData struct {
	Tenant     directory.Tenant
	Guest      directory.User
	Invitation Invitation
	RedeemURL  string
	Send       int    // number of this mail of the invitation, from 1
	Mail       string // id it gets in the queue, see [BounceID]
	Now        time.Time
}

// Mailboxes answers where a delivered mail was filed, if anybody knows. The
// built-in sink does; a real relay does not.
type Mailboxes interface {
	// Filed returns false if the mail is not known.
	Filed(ctx context.Context, messageID string, to mail.Address) (Filing, bool, error)
}

// Filing is where a mailbox put a mail, and why.
type Filing struct {
	ID     string // of the captured message in the sink
	Folder string // "Inbox" or "Junk"
	At     time.Time
	Score  float64
	Hits   []Hit
}

// Hit is one rule that spoke on a captured mail.
type Hit struct {
	Rule  string  `json:"rule"`
	Score float64 `json:"score"`
	Why   string  `json:"why"`
	Fix   string  `json:"fix"`
	Where string  `json:"where,omitempty"`
}
