package invite

import (
	"context"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
)

// Change is a directory change with the invitation and the mail it causes.
// A store applies all of it in one durable transaction, or none of it. It
// cancels mail (CancelMail) before it queues Mail: one change may replace what
// is waiting by a new letter to the same guest.
type Change struct {
	directory.Change
	NewInvitations []Invitation
	Invitations    []Invitation // replace; Version as for directory.Change.Users
	Mail           []Letter

	Blocks   []Block   // there already: nothing changes
	Unblock  []string  // keys of blocks to drop; not there: no error
	Passcode *Passcode // takes the place of the one its session asked for before

	Returned []Returned
	Suppress []Suppression // one that is there ends and begins anew, unless it has no end
	Lift     []string      // keys of suppressions to drop; not there: no error
}

// LetterKind says what a mail of an invitation is.
type LetterKind string

// The kinds.
const (
	LetterInvitation LetterKind = "invitation" // carries the link
	LetterCopy       LetterKind = "copy"       // for somebody else's information
	LetterCode       LetterKind = "code"       // carries a one-time passcode
)

// Block says that a person asked a tenant not to be invited again.
type Block struct {
	Key        string // of the address, see [BlockKey]
	Invitation ID     // whose link said so
	At         time.Time
}

// Purpose is what a passcode is asked for. A code serves no other.
type Purpose string

// The purposes.
const (
	ToRedeem  Purpose = "redeem"
	ToUnblock Purpose = "unblock"
)

// Passcode is a one-time passcode as it is kept: the code itself is only in
// the mail.
type Passcode struct {
	Session    string // hash of the id of the session that asked; one code for each
	Purpose    Purpose
	Invitation ID
	MAC        string // of code, tenant, session, purpose and address
	Expires    time.Time
}

// Throttle counts tries in a window that slides.
type Throttle struct {
	Bucket string // whose tries they are
	Limit  int
	Window time.Duration
	Now    time.Time
}

// PasscodeTry is somebody's try of a code.
type PasscodeTry struct {
	Session  string
	Purpose  Purpose
	MAC      string
	Now      time.Time
	MaxTries int
	Throttle Throttle // of whoever tries; a right code costs nothing
}

// PasscodeOutcome is what became of a try. The zero value: there is no code
// that could be tried any more.
type PasscodeOutcome struct {
	Right bool          // and the code is used up by it
	Left  int           // tries after a wrong one
	Wait  time.Duration // not zero: nothing was tried, too many were before
}

// Letter is a mail to queue with an invitation.
type Letter struct {
	ID         string // of the queue row, UUIDv7
	Invitation ID
	User       directory.UserID
	Inviter    string     // id that the sending limits count against
	Kind       LetterKind // empty: LetterInvitation
	Message    mail.Message
	LimitKey   string // of the recipient, see mail.Address.LimitKey
	Queued     time.Time
	Suppressed bool // only the record is stored: the mail is not sent, and its bytes are not kept
}

// Counts is how many mails were queued lately, for the sending limits. Each
// count stops at the limit it is compared with.
type Counts struct {
	Recipient5Min, RecipientDay, DomainHour, InviterMinute, InviterDay, TenantDay int
	// RecipientOldest is when the oldest mail still counted for the
	// recipient's exhausted window was queued; for Retry-After.
	Oldest time.Time
}

// CountQuery says what to count.
type CountQuery struct {
	LimitKey string // recipient
	Domain   string // recipient's domain
	Inviter  string
	Now      time.Time
	Limits   directory.Limits
}

// Store is the storage this package needs. Methods that find nothing return
// directory.ErrNotFound. Every list is paged by key: after is the last id of
// the page before, empty for the first; pages hold at most limit rows.
type Store interface {
	MailStore
	SuppressionStore

	Tenant(ctx context.Context, id directory.TenantID) (directory.Tenant, error)
	Policy(ctx context.Context, id directory.TenantID) (directory.Policy, error)

	User(ctx context.Context, t directory.TenantID, id directory.UserID) (directory.User, error)
	// UserByAddress finds the user who is not deleted and has the address
	// as mail, other mail or proxy address, or whose UPN it is.
	UserByAddress(ctx context.Context, t directory.TenantID, a mail.Address) (directory.User, error)
	// UserByUPN finds the user who is not deleted and has the UPN, ignoring
	// case. With UserRoles it is also part of tenant.Store.
	UserByUPN(ctx context.Context, t directory.TenantID, upn string) (directory.User, error)
	UserRoles(ctx context.Context, t directory.TenantID, u directory.UserID) ([]directory.RoleID, error)
	UserApps(ctx context.Context, t directory.TenantID, id directory.UserID) ([]directory.App, error)

	// Home finds the home organisation of a domain, and whether it has an
	// account for the address.
	Home(ctx context.Context, t directory.TenantID, a mail.Address) (h directory.HomeTenant, account bool, err error)

	GroupByName(ctx context.Context, t directory.TenantID, idOrName string) (directory.Group, error)
	AppByName(ctx context.Context, t directory.TenantID, idOrName string) (directory.App, error)

	Invitation(ctx context.Context, t directory.TenantID, id ID) (Invitation, error)
	// LatestInvitation returns the newest invitation of a user.
	LatestInvitation(ctx context.Context, t directory.TenantID, u directory.UserID) (Invitation, error)
	ListInvitations(ctx context.Context, t directory.TenantID, q Query) ([]Invitation, error)
	Deliveries(ctx context.Context, t directory.TenantID, id ID) ([]Delivery, error)
	// Attempts lists what relays said of one delivery, oldest first.
	Attempts(ctx context.Context, t directory.TenantID, delivery string) ([]mail.Attempt, error)
	Events(ctx context.Context, t directory.TenantID, id ID, after string, limit int) ([]audit.Event, error)
	MailCounts(ctx context.Context, t directory.TenantID, q CountQuery) (Counts, error)
	// Views is zero for a link that was never opened.
	Views(ctx context.Context, t directory.TenantID, id ID) (Views, error)
	// AddViews adds v to what is stored. It may lag and may lose the last
	// second on a crash: it is evidence, not a promise.
	AddViews(ctx context.Context, t directory.TenantID, id ID, v Views) error

	// Blocked returns when the holder of an address asked not to be invited
	// again; ErrNotFound if they did not. key is that of BlockKey.
	Blocked(ctx context.Context, t directory.TenantID, key string) (time.Time, error)

	// Throttle counts one more try, unless as many as the limit lie in the
	// window: then it counts nothing and returns how long to wait. Tries
	// that race are counted one after the other.
	Throttle(ctx context.Context, t directory.TenantID, q Throttle) (wait time.Duration, err error)
	// AddTries counts what was counted in memory, whatever the limit.
	AddTries(ctx context.Context, t directory.TenantID, bucket string, at []time.Time) error
	// RecentTries returns the tries of every bucket that had one after a
	// moment, at most 999 buckets.
	RecentTries(ctx context.Context, t directory.TenantID, since time.Time) (map[string][]time.Time, error)

	// TryPasscode counts the try and compares in constant time, all in one
	// durable transaction: of codes tried at the same time one is right.
	TryPasscode(ctx context.Context, t directory.TenantID, q PasscodeTry) (PasscodeOutcome, error)

	// ApplyInvitation applies a change whole, durably, or not at all.
	// It returns directory.ErrStale, ErrFull or ErrBusy.
	ApplyInvitation(ctx context.Context, c Change) error
}

// Query selects invitations, newest first; with a Text and no User, by address
// and the newest of each address first.
type Query struct {
	User  directory.UserID // only of this user
	Open  bool             // only neither accepted, revoked nor expired at Now
	Text  string           // prefix of the invited address, lower case
	Now   time.Time
	After ID
	Limit int // 1 to 999
}
