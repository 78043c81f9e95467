package invite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"invited/mail"
	"invited/server/directory"
	"invited/server/problem"
)

// What one invitation may carry.
const (
	MaxName     = 256  // characters of a display name; Graph's limit for displayName
	MaxMessage  = 4000 // characters of the personal message
	MaxSponsors = 5
	MaxGrants   = 20 // groups, roles and apps, each
)

// Request asks for an invitation. Source: Graph resource invitation; groups,
// roles and apps are ours.
type Request struct {
	Email       string             // required
	DisplayName string             // empty: the local part of the address
	RedirectURL string             // where acceptance leads; empty: My Apps
	UserType    directory.UserType // empty: Guest
	SendMessage bool               // send the mail, too
	Message     string             // personal, plain text
	Language    string             // BCP 47; empty: the guest's or the tenant's
	CC, CCName  string

	Groups, Roles, Apps []string           // ids or names
	Sponsors            []directory.UserID // empty: the inviter, if a person

	// ResetRedemption sends a guest back to pending, to redeem with Email.
	ResetRedemption bool
	User            directory.UserID // the guest to reset; only with ResetRedemption
}

// An order is a [Request] that keeps the rules: parsed, in normal form, every
// name in it resolved.
type order struct {
	address     mail.Address
	displayName string
	userType    directory.UserType
	redirect    string
	send        bool
	message     string
	language    string
	cc          *mail.Address
	ccName      string
	groups      []directory.Group
	roles       []directory.Role
	apps        []directory.App
	sponsors    []directory.UserID
}

// check turns a request into an order. Problems name the field as Graph spells
// it.
func (s *Service) check(ctx context.Context, op string, sc scene, actor directory.Actor, r Request) (order, error) {
	o := order{send: r.SendMessage, sponsors: r.Sponsors}
	steps := []func() error{
		func() error { return s.checkEmail(op, r, &o) },
		func() error { return checkUserType(op, r, &o) },
		func() error { return s.checkNames(op, r, &o) },
		func() error { return checkMessage(op, r, &o) },
		func() error { return s.checkCopy(op, r, &o) },
		func() error { return checkRedirect(sc, r, &o) },
		func() error { return s.resolve(ctx, op, sc, actor, r, &o) },
		func() error { return s.checkSponsors(ctx, op, actor, &o) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return order{}, err
		}
	}
	return o, nil
}

// checkEmail reads the invited address.
func (s *Service) checkEmail(op string, r Request, o *order) error {
	a, err := mail.ParseAddress(r.Email)
	if err == nil {
		err = a.Invitable(s.mode.Emulator)
	}
	if err != nil {
		return badAddress(op, "invitedUserEmailAddress", err)
	}
	o.address = a
	return nil
}

// badAddress is the refusal of an address.
func badAddress(op, field string, err error) error {
	detail := "The e-mail address cannot be used."
	if e, ok := errors.AsType[*mail.AddressError](err); ok {
		detail = e.Detail()
	}
	return &problem.Error{Op: op, Kind: problem.Invalid, Reason: problem.BadAddress, Field: field,
		Detail: "Invalid value for " + field + ": " + detail, Err: err}
}

// checkUserType reads the user type.
func checkUserType(op string, r Request, o *order) error {
	switch r.UserType {
	case "", directory.Guest:
		o.userType = directory.Guest
	case directory.Member:
		o.userType = directory.Member
	default:
		return problem.BadField(op, "invitedUserType", "Invalid value for invitedUserType: it must be Guest or Member.")
	}
	return nil
}

// checkNames reads what stands in header fields and on pages as a name.
func (s *Service) checkNames(op string, r Request, o *order) error {
	names := []struct{ field, value string }{{"invitedUserDisplayName", r.DisplayName}, {"ccRecipients", r.CCName}}
	for _, n := range names {
		if err := mail.ValidName(n.value, MaxName); err != nil {
			detail := err.Error()
			if e, ok := errors.AsType[*mail.NameError](err); ok {
				detail = e.Detail()
			}
			return problem.BadField(op, n.field, "Invalid value for "+n.field+": "+detail)
		}
		// A name that looks like an address or a link is a lure. Scripts that
		// give the address as the name are common, so the emulator lets them.
		if !s.mode.Emulator && (strings.Contains(n.value, "@") || strings.Contains(n.value, "://")) {
			return problem.BadField(op, n.field, "Invalid value for "+n.field+": a name holds neither @ nor ://. Give the person's name.")
		}
	}
	o.displayName, o.ccName = strings.TrimSpace(r.DisplayName), strings.TrimSpace(r.CCName)
	return nil
}

// checkMessage reads the personal message and its language.
func checkMessage(op string, r Request, o *order) error {
	const field = "customizedMessageBody"
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(r.Message)
	switch {
	case !utf8.ValidString(text):
		return problem.BadField(op, field, "Invalid value for "+field+": it is not UTF-8 text.")
	case utf8.RuneCountInString(text) > MaxMessage:
		return problem.BadField(op, field, fmt.Sprintf("Invalid value for %s: it is longer than %d characters. Shorten it.", field, MaxMessage))
	case strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }):
		return problem.BadField(op, field, "Invalid value for "+field+": it holds a control character. Line breaks and tabs are fine.")
	}
	o.message = text
	if r.Language != "" {
		if _, err := language.Parse(r.Language); err != nil || len(r.Language) > 35 {
			return problem.BadField(op, "messageLanguage", "Invalid value for messageLanguage: it is not a language tag. Write one such as en-US.")
		}
	}
	o.language = r.Language
	return nil
}

// checkCopy reads the recipient of a copy.
func (s *Service) checkCopy(op string, r Request, o *order) error {
	if r.CC == "" {
		if r.CCName != "" {
			return problem.BadField(op, "ccRecipients", "Invalid value for ccRecipients: there is a name but no address.")
		}
		return nil
	}
	a, err := mail.ParseAddress(r.CC)
	if err != nil {
		return badAddress(op, "ccRecipients", err)
	}
	o.cc = &a
	if !r.SendMessage {
		return nil
	}
	return s.mode.checkRecipient(op, "ccRecipients", a)
}

// checkRedirect reads the address acceptance leads to.
func checkRedirect(sc scene, r Request, o *order) (err error) {
	if r.RedirectURL != "" {
		o.redirect, err = directory.CheckRedirect(r.RedirectURL, sc.policy)
	}
	return err
}

// resolve finds the groups, roles and apps, and refuses an actor who may not
// give them away.
func (s *Service) resolve(ctx context.Context, op string, sc scene, actor directory.Actor, r Request, o *order) error {
	lists := []struct {
		field  string
		names  []string
		action directory.Action
		find   func(name string) error
	}{
		{"groups", r.Groups, directory.ManageGroups, func(name string) error {
			g, err := s.store.GroupByName(ctx, actor.Tenant, name)
			o.groups = append(o.groups, g)
			return err
		}},
		{"roles", r.Roles, directory.AssignRole, func(name string) error {
			role, ok := directory.RoleByName(name)
			o.roles = append(o.roles, role)
			if !ok {
				return directory.ErrNotFound
			}
			return nil
		}},
		{"apps", r.Apps, directory.ManageApps, func(name string) error {
			app, err := s.store.AppByName(ctx, actor.Tenant, name)
			o.apps = append(o.apps, app)
			return err
		}},
	}
	for _, l := range lists {
		if len(l.names) == 0 {
			continue
		}
		if err := actor.Authorize(l.action, sc.policy); err != nil {
			return err
		}
		if len(l.names) > MaxGrants {
			return problem.BadField(op, l.field, fmt.Sprintf("%s: one invitation carries at most %d. Add the others afterwards.", l.field, MaxGrants))
		}
		for _, name := range l.names {
			switch err := l.find(name); {
			case errors.Is(err, directory.ErrNotFound):
				return &problem.Error{Op: op, Kind: problem.Invalid, Reason: problem.UnknownAssignment, Field: l.field,
					Detail: fmt.Sprintf("%s: there is none called %q in this organisation. Nobody was invited.", l.field, name)}
			case err != nil:
				return storeProblem(op, err)
			}
		}
	}
	return nil
}

// checkSponsors sees to it that every sponsor is a user. Without any it is the
// inviter, if that is a person.
func (s *Service) checkSponsors(ctx context.Context, op string, actor directory.Actor, o *order) error {
	const field = "invitedUserSponsors"
	if len(o.sponsors) == 0 {
		if !actor.Application {
			o.sponsors = []directory.UserID{directory.UserID(actor.ID)}
		}
		return nil
	}
	if len(o.sponsors) > MaxSponsors {
		return problem.BadField(op, field, fmt.Sprintf("Invalid value for %s: a guest has at most %d sponsors.", field, MaxSponsors))
	}
	for _, id := range o.sponsors {
		u, err := s.store.User(ctx, actor.Tenant, id)
		switch {
		case errors.Is(err, directory.ErrNotFound), err == nil && !u.Deleted.IsZero():
			return problem.BadField(op, field, fmt.Sprintf("Invalid value for %s: there is no user %q.", field, id))
		case err != nil:
			return storeProblem(op, err)
		}
	}
	return nil
}
