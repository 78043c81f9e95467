package directory

import (
	"strings"
	"time"

	"invited/mail"
)

// guestMark tells a guest's UPN from a member's.
const guestMark = "#EXT#"

// GuestUPN returns the userPrincipalName of a guest: the address with "_" for
// "@", the mark #EXT#, and the tenant's initial domain. It does not change
// when the guest's address does.
func GuestUPN(a mail.Address, initialDomain string) string {
	return GuestNickname(a) + "@" + initialDomain
}

// GuestNickname returns the mailNickname of a guest.
func GuestNickname(a mail.Address) string {
	return a.Local + "_" + a.Domain + guestMark
}

// DistinctGuestUPN is [GuestUPN] for an address whose plain UPN is taken by a
// guest who was invited by it and has another address now. The suffix comes
// from the end of the new guest's id, which is random.
func DistinctGuestUPN(a mail.Address, initialDomain string, id UserID) string {
	suffix := strings.ReplaceAll(string(id), "-", "")
	suffix = suffix[max(0, len(suffix)-8):]
	return a.Local + "_" + a.Domain + "_" + suffix + guestMark + "@" + initialDomain
}

// NewGuest returns the user that inviting an address adds to the directory:
// pending, enabled, with a UPN made from the address. displayName may be empty;
// then it is the local part of the address.
func NewGuest(t Tenant, id UserID, a mail.Address, displayName string, typ UserType, now time.Time) User {
	if displayName == "" {
		displayName = a.Local
	}
	return User{
		Tenant:         t.ID,
		ID:             id,
		UPN:            GuestUPN(a, t.InitialDomain),
		DisplayName:    displayName,
		MailNickname:   GuestNickname(a),
		Mail:           a.String(),
		OtherMails:     []string{a.String()},
		ProxyAddresses: []string{"SMTP:" + a.String()},
		Type:           typ,
		CreationType:   CreatedByInvitation,
		State:          Pending,
		StateChanged:   now,
		Enabled:        true,
		Identities:     []Identity{{SignInType: "userPrincipalName", Issuer: t.InitialDomain, IssuerAssignedID: GuestUPN(a, t.InitialDomain)}},
		Created:        now,
		Generation:     1,
	}
}

// Issuers of the identities a guest signs in with, in Entra's spelling.
const (
	IssuerEntra = "ExternalAzureAD" // an account at a home organisation
	IssuerMail  = "mail"            // possession of the mailbox
)

// maxAssignedID is the longest issuerAssignedId Graph's objectIdentity holds.
const maxAssignedID = 64

// SignedInIdentity returns the identity a guest has after signing in with
// method m. It replaces the host's own entry on acceptance.
func SignedInIdentity(m Method, a mail.Address) Identity {
	id := Identity{SignInType: "federated", Issuer: IssuerMail, IssuerAssignedID: a.String()}
	if m == MethodHome || m == MethodOIDC {
		id.Issuer = IssuerEntra
	}
	if len(id.IssuerAssignedID) > maxAssignedID {
		id.IssuerAssignedID = ""
	}
	return id
}

// HasAddress reports whether a is one of the user's addresses: mail, other
// mail or a proxy address.
func (u User) HasAddress(a mail.Address) bool {
	key := a.Key()
	same := func(s string) bool { return strings.ToLower(s) == key }
	if same(u.Mail) {
		return true
	}
	for _, s := range u.OtherMails {
		if same(s) {
			return true
		}
	}
	for _, s := range u.ProxyAddresses {
		if _, bare, ok := strings.Cut(s, ":"); ok && same(bare) {
			return true
		}
	}
	return false
}

// HasVerifiedDomain reports whether domain, an A-label in lower case, belongs
// to the tenant itself.
func (t Tenant) HasVerifiedDomain(domain string) bool {
	for _, d := range append([]string{t.PrimaryDomain, t.InitialDomain}, t.Domains...) {
		if strings.EqualFold(d, domain) {
			return true
		}
	}
	return false
}
