// Package invite is the life of an invitation: create, resend, revoke, reset,
// redeem, consent, and the diagnosis of why a guest did not get in.
//
// It decides; it does not speak HTTP, render text, open sockets or store rows.
// Every operation reads a snapshot, decides, and hands the store one
// [Change] that is applied whole or not at all; if the snapshot was stale by
// then, it decides again.
//
//	Create ──▶ pending ──Accept──▶ accepted
//	             │  ▲ Resend (new link, fresh lifetime)
//	             │  └──────────┐
//	             ├──Cancel──▶ declined
//	             ├──time────▶ expired
//	             ├──Revoke──▶ revoked   (final: invite again)
//	             └──user deleted ──▶ deleted
package invite

import (
	"time"

	"invited/mail"
	"invited/server/directory"
)

// ID is an invitation id, a UUIDv7. It differs from the guest's user id.
type ID string

// Invitation is one letter's worth of inviting. Source: Graph resource
// invitation, plus what Graph has no word for.
type Invitation struct {
	Tenant      directory.TenantID
	ID          ID
	User        directory.UserID
	Email       mail.Address // invitedUserEmailAddress
	DisplayName string       // invitedUserDisplayName; empty: not supplied
	UserType    directory.UserType
	RedirectURL string // inviteRedirectUrl, re-serialised; empty: My Apps
	SendMessage bool   // sendInvitationMessage
	Message     string // customizedMessageBody, plain text
	Language    string // messageLanguage, BCP 47; empty: not supplied
	CC          *mail.Address
	CCName      string

	InviterID   string // user id or application id
	InviterName string // display name shown to the guest; empty for applications
	InviterMail string // Reply-To; empty if the inviter has none

	Generation int       // of the guest, when the link was made
	JTI        string    // of the ticket in the newest mail or answer
	Sends      int       // how many mails were queued for it, the first included
	Created    time.Time // UTC
	Sent       time.Time // when the newest mail was queued; zero: none
	Expires    time.Time // zero: never
	Revoked    time.Time
	Accepted   time.Time
	Declined   time.Time
	Version    int64 // optimistic lock, see directory.User
}

// State is where an invitation stands, for people.
type State string

// The states. They are derived, never stored.
const (
	StatePending  State = "pending"
	StateAccepted State = "accepted"
	StateDeclined State = "declined" // the guest may still change their mind
	StateExpired  State = "expired"
	StateRevoked  State = "revoked"
	StateReplaced State = "replaced" // made for an earlier generation of links
	StateDeleted  State = "deleted"  // the guest was deleted
)

// StateAt derives the state of i for its guest u at a moment.
func (i Invitation) StateAt(u directory.User, now time.Time) State {
	switch {
	case !u.Deleted.IsZero():
		return StateDeleted
	case !i.Accepted.IsZero(), u.State == directory.Accepted && i.Generation == u.Generation:
		return StateAccepted
	case !i.Revoked.IsZero():
		return StateRevoked
	case i.Generation != u.Generation:
		return StateReplaced
	case !i.Expires.IsZero() && !now.Before(i.Expires):
		return StateExpired
	case !i.Declined.IsZero():
		return StateDeclined
	default:
		return StatePending
	}
}

// Claims is what a ticket says, as far as this package cares.
type Claims struct {
	Tenant     directory.TenantID
	User       directory.UserID
	Invitation ID
	Generation int
	JTI        string
	Issued     time.Time
	Expires    time.Time // zero: never
}

// Delivery is the fate of one mail of an invitation.
type Delivery struct {
	ID         string // of the queue row
	Invitation ID
	User       directory.UserID
	To         mail.Address
	MessageID  string
	Kind       LetterKind
	State      mail.DeliveryState
	Queued     time.Time
	Next       time.Time // next attempt; zero if none is due
	Attempts   int
	Last       mail.Attempt // zero if none was made

	// Set by the service, never by a store.
	History []mail.Attempt // what relays said, oldest first; only from Service.Deliveries
	Filing  *Filing        // where the mailbox put it; nil: nobody knows
}

// Views counts how often a link was opened. Scanners open links too, so this
// is evidence for diagnosis and never changes the invitation.
type Views struct {
	Count     int // GETs that do not look automated
	Automated int // HEADs, and GETs that look automated
	First     time.Time
	Last      time.Time
}
