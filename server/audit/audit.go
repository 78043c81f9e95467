// Package audit is the record of who did what to whom: the vocabulary of
// directory audit events, with the activity names Entra uses.
//
// It holds values only. Writing an event is part of the store transaction of
// the change it describes, so an event exists exactly if the change does.
package audit

import "time"

// Activity names what happened. Those in Graph's directoryAudit resource are
// spelled as Entra spells them.
type Activity string

// The activities.
const (
	AddUser           Activity = "Add user"
	UpdateUser        Activity = "Update user"
	DeleteUser        Activity = "Delete user"
	RestoreUser       Activity = "Restore user"
	HardDeleteUser    Activity = "Hard Delete user"
	AddSponsor        Activity = "Add user sponsor"
	InviteExternal    Activity = "Invite external user"
	InviteReset       Activity = "Invite external user with reset invitation status"
	ResendInvitation  Activity = "Resend invitation"
	RevokeInvitation  Activity = "Revoke invitation"
	RedeemInvite      Activity = "Redeem external user invite"
	DeclineInvite     Activity = "Decline external user invite"
	RefuseRedeem      Activity = "Refuse external user invite"
	EmailNotSent      Activity = "Email not sent, user unsubscribed"
	EmailUnsubscribed Activity = "Email unsubscribed"
	EmailSubscribed   Activity = "Email subscribed"
	SendPasscode      Activity = "Send one-time passcode"
	AddMember         Activity = "Add member to group"
	RemoveMember      Activity = "Remove member from group"
	AddRoleMember     Activity = "Add member to role"
	RemoveRoleMember  Activity = "Remove member from role"
	AssignApp         Activity = "Add app role assignment grant to user"
	UpdatePolicy      Activity = "Update policy"
	UpdateHome        Activity = "Update home organisation"
)

// Result says how it ended.
type Result string

// The results of Graph's directoryAudit resource that we use.
const (
	Success Result = "success"
	Failure Result = "failure"
)

// Event is one line of the audit log. Source: Graph resource directoryAudit.
type Event struct {
	ID          string    // UUIDv7: sorts by time
	Tenant      string    // tenant id
	At          time.Time // UTC
	Activity    Activity
	Result      Result
	Reason      string            // a problem.Reason when Result is Failure
	Actor       string            // user id, application id or "guest"
	ActorName   string            // UPN or application name, as it was then
	Target      string            // user id; may be empty
	TargetName  string            // address or UPN, as it was then
	Invitation  string            // invitation id; may be empty
	Correlation string            // request id that all events of one request share
	Details     map[string]string // never holds a token, code or password
}
