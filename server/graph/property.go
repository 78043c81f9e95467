package graph

import (
	"strings"
	"time"

	"invited/server/directory"
)

// A kind is the type of a property as $filter sees it.
type kind uint8

const (
	text       kind = iota // Edm.String, compared ignoring case as Entra does
	flag                   // Edm.Boolean
	moment                 // Edm.DateTimeOffset
	texts                  // Collection(Edm.String)
	identities             // Collection(objectIdentity)
	absent                 // known to Graph, never held here: always null
)

// A property is one property of Graph's user resource. Source: Graph resource
// user, and reference of the list operation for the default set.
type property struct {
	name     string
	kind     kind
	standard bool // answered when $select is absent
	// get returns nil, string, bool, time.Time, []string or []identityJSON.
	get func(*directory.User) any
}

// identityJSON is Graph's objectIdentity.
type identityJSON struct {
	SignInType       string  `json:"signInType"`
	Issuer           string  `json:"issuer"`
	IssuerAssignedID *string `json:"issuerAssignedId"`
}

// userProperties is every property of a user we know, in the order of answers.
var userProperties = func() []property {
	str := func(name string, standard bool, get func(*directory.User) string) property {
		return property{name, text, standard, func(u *directory.User) any { return orNull(get(u)) }}
	}
	when := func(name string, get func(*directory.User) time.Time) property {
		return property{name, moment, false, func(u *directory.User) any { return timeOrNull(get(u)) }}
	}
	list := func(name string, standard bool, get func(*directory.User) []string) property {
		return property{name, texts, standard, func(u *directory.User) any { return orEmpty(get(u)) }}
	}
	never := func(name string, standard bool) property {
		return property{name, absent, standard, func(*directory.User) any { return nil }}
	}
	out := []property{
		str("id", true, func(u *directory.User) string { return string(u.ID) }),
		list("businessPhones", true, func(*directory.User) []string { return nil }),
		str("displayName", true, func(u *directory.User) string { return u.DisplayName }),
		str("givenName", true, func(u *directory.User) string { return u.GivenName }),
		str("jobTitle", true, func(u *directory.User) string { return u.JobTitle }),
		str("mail", true, func(u *directory.User) string { return u.Mail }),
		never("mobilePhone", true),
		never("officeLocation", true),
		str("preferredLanguage", true, func(u *directory.User) string { return u.PreferredLanguage }),
		str("surname", true, func(u *directory.User) string { return u.Surname }),
		str("userPrincipalName", true, func(u *directory.User) string { return u.UPN }),
		{"accountEnabled", flag, false, func(u *directory.User) any { return u.Enabled }},
		str("companyName", false, func(u *directory.User) string { return u.CompanyName }),
		when("createdDateTime", func(u *directory.User) time.Time { return u.Created }),
		str("creationType", false, func(u *directory.User) string { return u.CreationType }),
		when("deletedDateTime", func(u *directory.User) time.Time { return u.Deleted }),
		str("externalUserState", false, func(u *directory.User) string { return string(u.State) }),
		when("externalUserStateChangeDateTime", func(u *directory.User) time.Time { return u.StateChanged }),
		{"identities", identities, false, userIdentities},
		list("imAddresses", false, func(*directory.User) []string { return nil }),
		str("mailNickname", false, func(u *directory.User) string { return u.MailNickname }),
		list("otherMails", false, func(u *directory.User) []string { return u.OtherMails }),
		list("proxyAddresses", false, func(u *directory.User) []string { return u.ProxyAddresses }),
		str("userType", false, func(u *directory.User) string { return string(u.Type) }),
	}
	for _, name := range neverHeld {
		out = append(out, never(name, false))
	}
	return out
}()

// neverHeld are properties that clients select by habit and that this server
// has no use for. They answer null instead of an error.
var neverHeld = []string{
	"ageGroup", "city", "consentProvidedForMinor", "country", "department", "employeeHireDate", "employeeId", "employeeLeaveDateTime",
	"employeeOrgData", "employeeType", "faxNumber", "isResourceAccount", "lastPasswordChangeDateTime", "legalAgeGroupClassification",
	"onPremisesDistinguishedName", "onPremisesDomainName", "onPremisesExtensionAttributes", "onPremisesImmutableId",
	"onPremisesLastSyncDateTime", "onPremisesSamAccountName", "onPremisesSecurityIdentifier", "onPremisesSyncEnabled",
	"onPremisesUserPrincipalName", "passwordPolicies", "passwordProfile", "postalCode", "securityIdentifier", "showInAddressList",
	"signInActivity", "signInSessionsValidFromDateTime", "state", "streetAddress", "usageLocation",
}

// propertyIndex finds a property by its name in lower case: Graph does not
// mind the case of names in queries.
var propertyIndex = func() map[string]*property {
	m := make(map[string]*property, len(userProperties))
	for i := range userProperties {
		m[strings.ToLower(userProperties[i].name)] = &userProperties[i]
	}
	return m
}()

// propertyByName returns nil if Graph's user has no such property.
func propertyByName(name string) *property { return propertyIndex[strings.ToLower(name)] }

func userIdentities(u *directory.User) any {
	out := make([]identityJSON, len(u.Identities))
	for i, id := range u.Identities {
		out[i] = identityJSON{SignInType: id.SignInType, Issuer: id.Issuer}
		if id.IssuerAssignedID != "" {
			out[i].IssuerAssignedID = &id.IssuerAssignedID
		}
	}
	return out
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Truncate(time.Second)
}
