package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Patch says which properties of a user to change; nil leaves one as it is.
// Source: PATCH of Graph's user resource.
type Patch struct {
	DisplayName       *string
	GivenName         *string
	Surname           *string
	JobTitle          *string
	CompanyName       *string
	Mail              *string // empty removes it
	OtherMails        *[]string
	UserType          *directory.UserType
	Enabled           *bool
	PreferredLanguage *string // empty removes it
}

// maxOtherMails is Graph's limit for otherMails.
const maxOtherMails = 250

// UpdateUser changes properties of a user.
func (s *Service) UpdateUser(ctx context.Context, actor directory.Actor, id directory.UserID, p Patch) (directory.User, error) {
	const op = "tenant.UpdateUser"
	return s.change(ctx, op, actor, directory.ManageUsers, id, false, func(u *directory.User) (*directory.Change, error) {
		changed, err := p.apply(op, u)
		if err != nil || len(changed) == 0 {
			return nil, err
		}
		if slices.Contains(changed, "mail") || slices.Contains(changed, "otherMails") {
			if err := s.checkFree(ctx, op, *u); err != nil {
				return nil, err
			}
		}
		return &directory.Change{
			Users: []directory.User{*u},
			Audit: []audit.Event{s.event(actor, audit.UpdateUser, *u, map[string]string{"properties": strings.Join(changed, ",")})},
		}, nil
	})
}

// apply changes u and returns the names of the properties that were given.
func (p Patch) apply(op string, u *directory.User) (changed []string, err error) {
	texts := []struct {
		field string
		value *string
		to    *string
		limit int // characters, Graph's
	}{
		{"displayName", p.DisplayName, &u.DisplayName, 256},
		{"givenName", p.GivenName, &u.GivenName, 64},
		{"surname", p.Surname, &u.Surname, 64},
		{"jobTitle", p.JobTitle, &u.JobTitle, 128},
		{"companyName", p.CompanyName, &u.CompanyName, 64},
	}
	for _, t := range texts {
		if t.value == nil {
			continue
		}
		if err := mail.ValidName(*t.value, t.limit); err != nil {
			return nil, problem.BadField(op, t.field, "Invalid value for "+t.field+": "+nameDetail(err))
		}
		*t.to = *t.value
		changed = append(changed, t.field)
	}
	if p.DisplayName != nil && *p.DisplayName == "" {
		return nil, problem.BadField(op, "displayName", "Invalid value for displayName: it is empty, and every user has one.")
	}
	if p.Enabled != nil {
		u.Enabled = *p.Enabled
		changed = append(changed, "accountEnabled")
	}
	if p.UserType != nil {
		if *p.UserType != directory.Guest && *p.UserType != directory.Member {
			return nil, problem.BadField(op, "userType", "Invalid value for userType: it must be Guest or Member.")
		}
		u.Type = *p.UserType
		changed = append(changed, "userType")
	}
	if p.PreferredLanguage != nil {
		if _, err := language.Parse(*p.PreferredLanguage); err != nil && *p.PreferredLanguage != "" {
			return nil, problem.BadField(op, "preferredLanguage", "Invalid value for preferredLanguage: it is not a language tag. Write one such as en-US.")
		}
		u.PreferredLanguage = *p.PreferredLanguage
		changed = append(changed, "preferredLanguage")
	}
	addresses, err := p.addresses(op, u)
	return append(changed, addresses...), err
}

// addresses changes the addresses of u.
func (p Patch) addresses(op string, u *directory.User) (changed []string, err error) {
	if p.Mail != nil {
		a := mail.Address{}
		if *p.Mail != "" {
			if a, err = mail.ParseAddress(*p.Mail); err != nil {
				return nil, badAddress(op, "mail", err)
			}
		}
		u.Mail = a.String()
		u.ProxyAddresses = withPrimary(u.ProxyAddresses, u.Mail)
		changed = append(changed, "mail")
	}
	if p.OtherMails != nil {
		if len(*p.OtherMails) > maxOtherMails {
			return nil, problem.BadField(op, "otherMails", fmt.Sprintf("Invalid value for otherMails: a user has at most %d.", maxOtherMails))
		}
		others := make([]string, 0, len(*p.OtherMails))
		for _, text := range *p.OtherMails {
			a, err := mail.ParseAddress(text)
			if err != nil {
				return nil, badAddress(op, "otherMails", err)
			}
			others = append(others, a.String())
		}
		u.OtherMails = others
		changed = append(changed, "otherMails")
	}
	return changed, nil
}

// withPrimary returns proxy addresses with primary as the one marked "SMTP:".
func withPrimary(proxies []string, primary string) []string {
	out := slices.DeleteFunc(slices.Clone(proxies), func(p string) bool {
		return strings.HasPrefix(p, "SMTP:") || strings.EqualFold(p, "smtp:"+primary)
	})
	if primary == "" {
		return out
	}
	return append([]string{"SMTP:" + primary}, out...)
}

// badAddress is the refusal of an address.
func badAddress(op, field string, err error) error {
	detail := "The e-mail address cannot be used."
	if e, ok := errors.AsType[*mail.AddressError](err); ok {
		detail = e.Detail()
	}
	return &problem.Error{Op: op, Kind: problem.Invalid, Reason: problem.BadAddress, Field: field, Detail: "Invalid value for " + field + ": " + detail, Err: err}
}

// nameDetail is the sentence of a name that cannot be used.
func nameDetail(err error) string {
	if e, ok := errors.AsType[*mail.NameError](err); ok {
		return e.Detail()
	}
	return "the text cannot be used."
}
