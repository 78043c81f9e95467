// Package directory is the tenant as plain values and pure rules: users and
// guests, groups, roles, apps, policies, home organisations, and who may do
// what.
//
// Nothing here reads a clock, opens a store or knows a transport. Field names
// follow Microsoft Graph's user, group, servicePrincipal and
// authorizationPolicy resources.
package directory

import (
	"time"

	"invited/mail"
	"invited/server/audit"
)

// Identifiers are lower-case UUIDs; those we make are version 7.
type (
	// TenantID identifies a tenant.
	TenantID string
	// UserID identifies a user, guest or member.
	UserID string
	// GroupID identifies a group.
	GroupID string
	// RoleID is a role's template id.
	RoleID string
	// AppID is the object id of a service principal.
	AppID string
)

// Tenant is the inviting organisation. Source: Graph resource organization.
type Tenant struct {
	ID             TenantID
	DisplayName    string   // shown to guests
	PrimaryDomain  string   // verified domain, such as contoso.example
	InitialDomain  string   // the domain guests' UPNs end in, such as contoso.onmicrosoft.example
	Domains        []string // every verified domain, the two above included
	Language       string   // preferredLanguage, BCP 47; empty means en-US
	PrivacyURL     string   // privacyProfile.statementUrl; empty: none was provided
	PrivacyContact string   // privacyProfile.contactEmail; may be empty
	Created        time.Time
}

// UserType says what a user is to the tenant.
type UserType string

// The user types of Graph's user resource.
const (
	Member UserType = "Member"
	Guest  UserType = "Guest"
)

// ExternalState is externalUserState of Graph's user resource.
type ExternalState string

// The external states. NotExternal is null on the wire.
const (
	NotExternal ExternalState = ""
	Pending     ExternalState = "PendingAcceptance"
	Accepted    ExternalState = "Accepted"
)

// CreatedByInvitation is creationType of every guest we invite.
const CreatedByInvitation = "Invitation"

// Identity is one entry of a user's identities.
type Identity struct {
	SignInType       string // "federated", "emailAddress" or "userPrincipalName"
	Issuer           string
	IssuerAssignedID string
}

// User is a person in the tenant, guest or member.
type User struct {
	Tenant            TenantID
	ID                UserID
	UPN               string // userPrincipalName
	DisplayName       string
	GivenName         string
	Surname           string
	JobTitle          string
	CompanyName       string
	MailNickname      string
	Mail              string   // canonical address; may be empty for members
	OtherMails        []string // canonical addresses
	ProxyAddresses    []string // "SMTP:" marks the primary
	Type              UserType
	CreationType      string // "Invitation" or empty
	State             ExternalState
	StateChanged      time.Time // externalUserStateChangeDateTime
	Enabled           bool      // accountEnabled
	PreferredLanguage string    // BCP 47; may be empty
	Sponsors          []UserID
	Identities        []Identity
	InvitedBy         string // id of the person or application that invited; may be empty
	PasswordHash      string // argon2id, members only; never leaves the server
	Created           time.Time
	Deleted           time.Time // zero: not deleted

	// Generation counts the sets of links of a guest. A link works only in
	// the generation it was made for; revoke, reset and delete raise it.
	Generation int

	// Version is the optimistic lock: a change names the version it was
	// made from, and the store refuses it if the row has moved on.
	Version int64
}

// IsGuest reports whether the user was invited from outside.
func (u User) IsGuest() bool { return u.Type == Guest || u.State != NotExternal }

// Group is an assigned security group.
type Group struct {
	Tenant       TenantID
	ID           GroupID
	DisplayName  string
	MailNickname string
	Description  string
	Created      time.Time
}

// App is an application guests can be assigned to, shown on My Apps.
// Source: Graph resource servicePrincipal.
type App struct {
	Tenant      TenantID
	ID          AppID
	AppID       string // the application (client) id
	DisplayName string
	Homepage    string // https URL opened from My Apps; may be empty
	Created     time.Time
}

// DefaultAppRole is the app role id of an app that declares none.
const DefaultAppRole = "00000000-0000-0000-0000-000000000000"

// Application is a client that may ask for tokens with client_credentials.
type Application struct {
	Tenant      TenantID
	ID          string // object id of its service principal
	ClientID    string
	DisplayName string
	SecretHash  string   // hex SHA-256 of the secret, which has at least 128 random bits
	Permissions []string // application permissions such as User.Invite.All
	Created     time.Time
}

// Membership puts a user into a group.
type Membership struct {
	Group GroupID
	User  UserID
}

// RoleAssignment gives a user a directory role.
type RoleAssignment struct {
	Role RoleID
	User UserID
}

// AppAssignment lets a user see an app.
type AppAssignment struct {
	ID      string // UUIDv7
	App     AppID
	AppRole string // DefaultAppRole if the app declares none
	User    UserID
	Created time.Time
}

// HomeTenant is what is known of an organisation guests come from.
type HomeTenant struct {
	Tenant                  TenantID // the inviting tenant this knowledge belongs to
	Domain                  string   // lower-case A-label
	DisplayName             string
	AllowEmailVerifiedUsers bool   // may an account be created just in time?
	Federated               bool   // sign-in happens at the organisation's own provider
	SignIn                  SignIn // how its accounts sign in here
	Version                 int64
}

// SignIn is how accounts of a home organisation sign in here.
type SignIn string

// The ways to sign in.
const (
	SignInSimulated SignIn = "simulated" // a one-click page; only while mail goes to the sink
	SignInOIDC      SignIn = "oidc"
)

// Fallback is what happens when no organisation and no federation can sign a
// guest in.
type Fallback string

// The fallbacks.
const (
	FallbackLink Fallback = "link" // possession of the mailed link is enough
	FallbackOTP  Fallback = "otp"  // a code is mailed to the invited address
	FallbackNone Fallback = "none" // refused
)

// Rules is which era's rules decide about guests whose home organisation has no
// account for them.
type Rules string

// The rule sets. RulesLegacy are those from before unmanaged accounts were
// abolished: the home organisation says whether an account may be made just in
// time, and a guest it has none for goes no further. Under RulesCurrent such a
// guest signs in as if the organisation were unknown.
const (
	RulesLegacy  Rules = "legacy"
	RulesCurrent Rules = "current"
)

// Provider is who may sign guests in before the fallback does. Source:
// primaryIdentityProviderPrecedenceOrder of Graph's
// invitationRedemptionIdentityProviderConfiguration.
type Provider string

// The providers.
const (
	ProviderHome       Provider = "home"       // the organisation the address belongs to
	ProviderFederation Provider = "federation" // an OpenID provider set up for the address's domain
)

// DefaultProviders is the order in which providers are asked unless the policy
// names another.
var DefaultProviders = []Provider{ProviderHome, ProviderFederation}

// InvitesFrom is allowInvitesFrom of Graph's authorizationPolicy.
type InvitesFrom string

// The values of allowInvitesFrom.
const (
	InvitesFromNone     InvitesFrom = "none"
	InvitesFromAdmins   InvitesFrom = "adminsAndGuestInviters"
	InvitesFromMembers  InvitesFrom = "adminsGuestInvitersAndAllMembers"
	InvitesFromEveryone InvitesFrom = "everyone"
)

// OnResend says what a resend does to links sent before.
type OnResend string

// The choices for links.on_resend.
const (
	KeepLinks      OnResend = "keep"
	SupersedeLinks OnResend = "supersede"
)

// Policy is everything an administrator decides for the tenant.
type Policy struct {
	Tenant         TenantID
	InvitesFrom    InvitesFrom
	AllowedDomains []string // only these, if not empty; never together with BlockedDomains
	BlockedDomains []string
	RedirectHosts  []string   // hosts inviteRedirectUrl may name; "*." prefix for subdomains; empty: any https host
	Rules          Rules      // empty: RulesLegacy
	Providers      []Provider // asked in this order, those absent never; empty: DefaultProviders
	Fallback       Fallback
	CodeLifetime   time.Duration // of one-time passcodes; 0: DefaultCodeLifetime
	OnResend       OnResend
	LinkLifetime   time.Duration // 0: links do not expire
	Limits         Limits
	Version        int64
}

// Limits bounds how much mail may be caused. Zero means no limit.
type Limits struct {
	RecipientPer5Min int // mails to one mailbox in 5 minutes
	RecipientPerDay  int // mails to one mailbox in 24 hours
	DomainPerHour    int // mails to one domain in an hour
	InviterPerMinute int
	InviterPerDay    int
	TenantPerDay     int
}

// Change is what one operation does to the directory. A store applies all of
// it in one durable transaction, or none of it.
type Change struct {
	Tenant TenantID

	// NewUsers are inserted. A store refuses the change with ErrStale if a
	// user that is not deleted already holds one of their addresses or UPNs.
	NewUsers []User

	// Users replace the stored rows. Each carries the Version it was read
	// at; a store refuses the change with ErrStale if a row has moved on,
	// and stores Version+1 otherwise.
	Users []User

	// Purge removes users for good, with all that hangs on them.
	Purge []UserID

	NewGroups     []Group
	NewApps       []App
	AddMembers    []Membership // already there: no error
	RemoveMembers []Membership
	AddRoles      []RoleAssignment
	RemoveRoles   []RoleAssignment
	AddApps       []AppAssignment
	RemoveApps    []AppAssignment

	Policy *Policy      // replaces; Version as for Users
	Homes  []HomeTenant // Version 0: not stored yet; the first stored version is 1
	// HomeAccounts are addresses known to have an account at their home.
	AddHomeAccounts    []mail.Address
	RemoveHomeAccounts []mail.Address

	// CancelMail withdraws the open deliveries to these users.
	CancelMail []UserID

	Audit []audit.Event
}
