package invite

import (
	"context"
	"errors"
	"strings"

	"invited/mail"
	"invited/server/directory"
)

// A found is an invitation with its guest.
type found struct {
	guest  directory.User
	inv    Invitation
	latest bool // no newer invitation of the guest exists
}

// find resolves how people and programs refer to an invitation: by its id, or
// by the guest's id, address or UPN, which mean the guest's latest invitation.
func (s *Service) find(ctx context.Context, op string, t directory.TenantID, ref string) (found, error) {
	f, err := s.lookUp(ctx, t, strings.TrimSpace(ref))
	if errors.Is(err, directory.ErrNotFound) {
		return found{}, notFound(op, "Nobody with this address or id was invited to this organisation.")
	}
	if err != nil {
		return found{}, storeProblem(op, err)
	}
	return f, nil
}

// lookUp is [Service.find] with the store's errors.
func (s *Service) lookUp(ctx context.Context, t directory.TenantID, ref string) (f found, err error) {
	switch {
	case ref == "":
		return f, directory.ErrNotFound
	case strings.Contains(ref, "#"):
		f.guest, err = s.store.UserByUPN(ctx, t, ref)
	case strings.Contains(ref, "@"):
		a, perr := mail.ParseAddress(ref)
		if perr != nil {
			return f, directory.ErrNotFound
		}
		f.guest, err = s.store.UserByAddress(ctx, t, a)
	default:
		id := strings.ToLower(ref)
		f.inv, err = s.store.Invitation(ctx, t, ID(id))
		if err == nil {
			return s.withGuest(ctx, f.inv)
		}
		if errors.Is(err, directory.ErrNotFound) {
			f.guest, err = s.store.User(ctx, t, directory.UserID(id))
		}
	}
	if err != nil {
		return found{}, err
	}
	f.latest = true
	f.inv, err = s.store.LatestInvitation(ctx, t, f.guest.ID)
	return f, err
}

// withGuest completes an invitation by its guest and its place among others.
func (s *Service) withGuest(ctx context.Context, inv Invitation) (found, error) {
	guest, err := s.store.User(ctx, inv.Tenant, inv.User)
	if err != nil {
		return found{}, err
	}
	last, err := s.store.LatestInvitation(ctx, inv.Tenant, inv.User)
	if err != nil {
		return found{}, err
	}
	return found{guest: guest, inv: inv, latest: last.ID == inv.ID}, nil
}
