package tenant

import (
	"context"
	"errors"
	"strings"
	"time"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// RestoreWithin is how long a deleted user can be restored.
const RestoreWithin = 30 * 24 * time.Hour

// User returns a user who is not deleted. People may always read themselves.
func (s *Service) User(ctx context.Context, actor directory.Actor, id directory.UserID) (directory.User, error) {
	const op = "tenant.User"
	if err := s.mayRead(ctx, op, actor, string(id)); err != nil {
		return directory.User{}, err
	}
	u, err := s.store.User(ctx, actor.Tenant, id)
	return live(op, u, err)
}

// UserByUPN returns the user with a userPrincipalName, ignoring case.
func (s *Service) UserByUPN(ctx context.Context, actor directory.Actor, upn string) (directory.User, error) {
	const op = "tenant.UserByUPN"
	self := ""
	if strings.EqualFold(upn, actor.Name) {
		self = actor.ID
	}
	if err := s.mayRead(ctx, op, actor, self); err != nil {
		return directory.User{}, err
	}
	u, err := s.store.UserByUPN(ctx, actor.Tenant, upn)
	return live(op, u, err)
}

// Find returns a user by id, userPrincipalName or address, as people and
// scripts refer to them.
func (s *Service) Find(ctx context.Context, actor directory.Actor, ref string) (directory.User, error) {
	const op = "tenant.Find"
	if err := s.mayRead(ctx, op, actor, ref); err != nil {
		return directory.User{}, err
	}
	ref = strings.TrimSpace(ref)
	if !strings.Contains(ref, "@") {
		u, err := s.store.User(ctx, actor.Tenant, directory.UserID(strings.ToLower(ref)))
		return live(op, u, err)
	}
	u, err := s.store.UserByUPN(ctx, actor.Tenant, ref)
	if errors.Is(err, directory.ErrNotFound) {
		if a, perr := mail.ParseAddress(ref); perr == nil {
			u, err = s.store.UserByAddress(ctx, actor.Tenant, a)
		}
	}
	return live(op, u, err)
}

// mayRead refuses an actor who may read neither everybody nor, as a person,
// the user with this id.
func (s *Service) mayRead(ctx context.Context, op string, actor directory.Actor, id string) error {
	if !actor.Application && id != "" && id == actor.ID {
		return nil
	}
	return s.authorize(ctx, op, actor, directory.ReadUsers)
}

// live returns u unless the store did not find it or it is deleted.
func live(op string, u directory.User, err error) (directory.User, error) {
	if err == nil && !u.Deleted.IsZero() {
		err = directory.ErrNotFound
	}
	if err != nil {
		return directory.User{}, storeProblem(op, "There is no such user in this tenant.", err)
	}
	return u, nil
}

// ListUsers returns users by id; deleted ones only if q says so. Limit 0 means
// DefaultPage.
func (s *Service) ListUsers(ctx context.Context, actor directory.Actor, q UserQuery) ([]directory.User, error) {
	const op = "tenant.ListUsers"
	if err := s.authorize(ctx, op, actor, directory.ReadUsers); err != nil {
		return nil, err
	}
	q.Limit = pageSize(q.Limit)
	users, err := s.store.ListUsers(ctx, actor.Tenant, q)
	return users, storeProblem(op, "", err)
}

// ListDeleted returns soft-deleted users by id.
func (s *Service) ListDeleted(ctx context.Context, actor directory.Actor, after directory.UserID, limit int) ([]directory.User, error) {
	return s.ListUsers(ctx, actor, UserQuery{Deleted: true, After: after, Limit: limit})
}

// change changes one user who is not deleted, or who is if deleted says so.
// edit returns nil if there is nothing to do.
func (s *Service) change(ctx context.Context, op string, actor directory.Actor, action directory.Action, id directory.UserID, deleted bool,
	edit func(*directory.User) (*directory.Change, error)) (directory.User, error) {
	var out directory.User
	err := s.apply(ctx, op, func() (*directory.Change, error) {
		p, err := s.store.Policy(ctx, actor.Tenant)
		if err != nil {
			return nil, storeProblem(op, "There is no such tenant.", err)
		}
		if err := actor.Authorize(action, p); err != nil {
			return nil, err
		}
		u, err := s.store.User(ctx, actor.Tenant, id)
		if err != nil || deleted == u.Deleted.IsZero() {
			return nil, storeProblem(op, missingUser(deleted), errors.Join(err, notThere(err)))
		}
		held, err := s.store.UserRoles(ctx, actor.Tenant, id)
		if err != nil {
			return nil, storeProblem(op, "", err)
		}
		if err := actor.AuthorizeOver(held, p); err != nil {
			return nil, err
		}
		c, err := edit(&u)
		out = u
		if c != nil {
			c.Tenant = actor.Tenant
			out.Version++
		}
		return c, err
	})
	if err != nil {
		return directory.User{}, err
	}
	return out, nil
}

// notThere is ErrNotFound for a user who was found in the wrong state.
func notThere(err error) error {
	if err == nil {
		return directory.ErrNotFound
	}
	return nil
}

// missingUser says which kind of user is missing.
func missingUser(deleted bool) string {
	if deleted {
		return "There is no such user among the deleted ones of this tenant."
	}
	return "There is no such user in this tenant."
}

// DeleteUser deletes a user softly: the user is out of every list and can be
// restored for RestoreWithin. Links mailed to a guest are dead at once and
// mail that waits is canceled.
func (s *Service) DeleteUser(ctx context.Context, actor directory.Actor, id directory.UserID) error {
	const op = "tenant.DeleteUser"
	_, err := s.change(ctx, op, actor, directory.DeleteUser, id, false, func(u *directory.User) (*directory.Change, error) {
		u.Deleted = s.now()
		u.Generation++
		return &directory.Change{
			Users: []directory.User{*u}, CancelMail: []directory.UserID{id},
			Audit: []audit.Event{s.event(actor, audit.DeleteUser, *u, nil)},
		}, nil
	})
	return err
}

// RestoreUser brings a deleted user back, with groups, roles and apps. Links
// mailed before stay dead; a pending guest needs a new one.
func (s *Service) RestoreUser(ctx context.Context, actor directory.Actor, id directory.UserID) (directory.User, error) {
	const op = "tenant.RestoreUser"
	return s.change(ctx, op, actor, directory.DeleteUser, id, true, func(u *directory.User) (*directory.Change, error) {
		if s.now().Sub(u.Deleted) > RestoreWithin {
			return nil, notFound(op, "The user was deleted more than 30 days ago and cannot be restored.")
		}
		if err := s.checkFree(ctx, op, *u); err != nil {
			return nil, err
		}
		u.Deleted = time.Time{}
		return &directory.Change{
			Users: []directory.User{*u},
			Audit: []audit.Event{s.event(actor, audit.RestoreUser, *u, nil)},
		}, nil
	})
}

// checkFree refuses a user whose UPN or addresses belong to somebody else.
func (s *Service) checkFree(ctx context.Context, op string, u directory.User) error {
	taken := func(other directory.User, err error, name string) error {
		switch {
		case errors.Is(err, directory.ErrNotFound), err == nil && other.ID == u.ID:
			return nil
		case err != nil:
			return storeProblem(op, "", err)
		}
		return conflict(op, problem.AlreadyInDirectory, "Another user has %s: object ID: %s. Change or delete that user first.", name, other.ID)
	}
	other, err := s.store.UserByUPN(ctx, u.Tenant, u.UPN)
	if err := taken(other, err, "the userPrincipalName "+u.UPN); err != nil {
		return err
	}
	for _, text := range append([]string{u.Mail}, u.OtherMails...) {
		a, perr := mail.ParseAddress(text)
		if perr != nil {
			continue // a member without a mailbox
		}
		other, err := s.store.UserByAddress(ctx, u.Tenant, a)
		if err := taken(other, err, "the address "+a.String()); err != nil {
			return err
		}
	}
	return nil
}

// PurgeUser removes a deleted user for good, with all that hangs on them.
func (s *Service) PurgeUser(ctx context.Context, actor directory.Actor, id directory.UserID) error {
	const op = "tenant.PurgeUser"
	_, err := s.change(ctx, op, actor, directory.DeleteUser, id, true, func(u *directory.User) (*directory.Change, error) {
		return s.purge(actor, *u), nil
	})
	return err
}

// purge is the change that removes a user for good.
func (s *Service) purge(actor directory.Actor, u directory.User) *directory.Change {
	return &directory.Change{
		Tenant: u.Tenant, Purge: []directory.UserID{u.ID},
		Audit: []audit.Event{s.event(actor, audit.HardDeleteUser, u, nil)},
	}
}

// SweepDeleted removes for good, in every tenant, the users who can no longer
// be restored, and returns how many. It is meant to be called once in a while.
func (s *Service) SweepDeleted(ctx context.Context) (int, error) {
	const op = "tenant.SweepDeleted"
	removed := 0
	for afterTenant := directory.TenantID(""); ; {
		tenants, err := s.store.Tenants(ctx, afterTenant, maxPage)
		if err != nil {
			return removed, storeProblem(op, "", err)
		}
		for _, t := range tenants {
			n, err := s.sweep(ctx, op, t.ID)
			removed += n
			if err != nil {
				return removed, err
			}
			afterTenant = t.ID
		}
		if len(tenants) < maxPage {
			return removed, nil
		}
	}
}

// sweep is SweepDeleted for one tenant.
func (s *Service) sweep(ctx context.Context, op string, t directory.TenantID) (int, error) {
	actor := directory.Actor{Tenant: t, ID: "invited", Name: "invited", Correlation: s.newID()}
	removed := 0
	for after := directory.UserID(""); ; {
		users, err := s.store.ListUsers(ctx, t, UserQuery{Deleted: true, After: after, Limit: maxPage})
		if err != nil {
			return removed, storeProblem(op, "", err)
		}
		for _, u := range users {
			after = u.ID
			if s.now().Sub(u.Deleted) <= RestoreWithin {
				continue
			}
			if err := s.store.ApplyDirectory(ctx, *s.purge(actor, u)); err != nil {
				return removed, storeProblem(op, "", err)
			}
			removed++
		}
		if len(users) < maxPage {
			return removed, nil
		}
	}
}
