package problem

import "slices"

// Reason is a documented cause. It is stable: programs may branch on it, every
// one has a text and a remedy in the language files and a heading in
// docs/troubleshooting.md.
type Reason string

// NoReason marks a failure without an entry in the guide.
const NoReason Reason = ""

// Reasons for refusing an invitation.
const (
	BadInput            Reason = "bad_input"            // a field breaks a stated rule
	BadAddress          Reason = "bad_address"          // the e-mail address cannot be invited
	InvitesNotAllowed   Reason = "invites_not_allowed"  // allowInvitesFrom or role forbids it
	RoleRequired        Reason = "role_required"        // the caller lacks the role or permission
	DomainBlocked       Reason = "domain_blocked"       // the domain list forbids the address
	VerifiedDomain      Reason = "verified_domain"      // the address is in the tenant's own domain
	AlreadyInDirectory  Reason = "already_in_directory" // an internal user holds the address
	AlreadyAccepted     Reason = "already_accepted"     // nothing left to redeem or resend
	AccountDisabled     Reason = "account_disabled"     // the guest may not sign in
	BadRedirect         Reason = "bad_redirect"         // inviteRedirectUrl breaks a rule
	RateLimited         Reason = "rate_limited"         // too many mails or tries
	RecipientSuppressed Reason = "recipient_suppressed" // bounced or asked not to be mailed
	RecipientBlocked    Reason = "recipient_blocked"    // the guest blocked invitations of this organisation
	UnknownAssignment   Reason = "unknown_assignment"   // group, role or app is unknown
	StorageFull         Reason = "storage_full"         // the disk or quota is full
	Busy                Reason = "busy"                 // a lock or a queue was not free in time
	TokenInvalid        Reason = "token_invalid"        // the bearer token does not verify
	Missing             Reason = "not_found"            // no such object
)

// Reasons a link is refused or an invitation does not complete. They are also
// what diagnosis reports.
const (
	LinkInvalid      Reason = "link_invalid"       // forged or mangled; never says more
	LinkExpired      Reason = "link_expired"       // past its lifetime
	LinkRevoked      Reason = "link_revoked"       // the inviter withdrew it
	LinkReplaced     Reason = "link_replaced"      // a newer invitation took its place
	WrongTenant      Reason = "wrong_organisation" // link and organisation do not belong together
	GuestDeleted     Reason = "guest_deleted"      // the guest account was deleted
	JITDisabled      Reason = "jit_disabled"       // home blocks just-in-time accounts
	HomeFederated    Reason = "home_federated"     // AADB2B_0001: home is federated, account missing
	NoSignIn         Reason = "no_sign_in"         // nobody can sign this guest in
	SessionExpired   Reason = "session_expired"    // the page was open for too long
	CrossSite        Reason = "cross_site"         // the request came from another site
	CodeWrong        Reason = "code_wrong"         // not the passcode that was mailed
	CodeUsedUp       Reason = "code_used_up"       // used, past its time, tried too often, or of another session
	TooManyTries     Reason = "too_many_tries"     // codes or links that failed, too often
	MailQueued       Reason = "mail_queued"        // not yet handed to a relay
	MailDeferred     Reason = "mail_deferred"      // the relay said: later
	MailFailed       Reason = "mail_failed"        // refused for good or given up
	MailBounced      Reason = "mail_bounced"       // came back after acceptance
	MailInJunk       Reason = "mail_in_junk"       // delivered, filed in Junk
	MailNotRequested Reason = "mail_not_requested" // sendInvitationMessage was false
	MailDelivered    Reason = "mail_delivered"     // in the inbox, not opened yet
	LinkOpened       Reason = "link_opened"        // opened, consent not given
	Declined         Reason = "consent_declined"   // the guest pressed Cancel
	NoApps           Reason = "no_apps"            // accepted; nothing is assigned
	Complete         Reason = "complete"           // accepted, nothing to do
)

// reasons is every reason but NoReason.
var reasons = []Reason{
	BadInput, BadAddress, InvitesNotAllowed, RoleRequired, DomainBlocked, VerifiedDomain, AlreadyInDirectory,
	AlreadyAccepted, AccountDisabled, BadRedirect, RateLimited, RecipientSuppressed, RecipientBlocked, UnknownAssignment,
	StorageFull, Busy, TokenInvalid, Missing,
	LinkInvalid, LinkExpired, LinkRevoked, LinkReplaced, WrongTenant, GuestDeleted, JITDisabled, HomeFederated,
	NoSignIn, SessionExpired, CrossSite, CodeWrong, CodeUsedUp, TooManyTries, MailQueued, MailDeferred, MailFailed, MailBounced, MailInJunk,
	MailNotRequested, MailDelivered, LinkOpened, Declined, NoApps, Complete,
}

// Reasons returns every documented reason.
func Reasons() []Reason { return slices.Clone(reasons) }
