package invite

import (
	"context"

	"invited/server/audit"
	"invited/server/directory"
)

// Details is an invitation with its guest and what became of its mail.
type Details struct {
	Invitation Invitation
	User       directory.User
	State      State
	Deliveries []Delivery // oldest first; not filled by List
	Views      Views      // not filled by List
}

// Get returns one invitation. ref is as for Resend.
func (s *Service) Get(ctx context.Context, actor directory.Actor, ref string) (Details, error) {
	const op = "invite.Get"
	sc, err := s.authorizedScene(ctx, op, actor, directory.ReadInvitations)
	if err != nil {
		return Details{}, err
	}
	f, err := s.find(ctx, op, actor.Tenant, ref)
	if err != nil {
		return Details{}, err
	}
	return s.details(ctx, op, sc, f)
}

// details completes what was found.
func (s *Service) details(ctx context.Context, op string, sc scene, f found) (Details, error) {
	d := Details{Invitation: f.inv, User: f.guest, State: f.inv.StateAt(f.guest, sc.now)}
	var err error
	if d.Deliveries, err = s.store.Deliveries(ctx, f.inv.Tenant, f.inv.ID); err != nil {
		return Details{}, storeProblem(op, err)
	}
	s.file(ctx, d.Deliveries)
	if d.Views, err = s.viewsOf(ctx, f.inv); err != nil {
		return Details{}, storeProblem(op, err)
	}
	return d, nil
}

// file says of each delivery where the mailbox put it, if anybody knows.
func (s *Service) file(ctx context.Context, ds []Delivery) {
	if s.boxes == nil {
		return
	}
	for i, d := range ds {
		// A mailbox that cannot answer is one that does not know.
		if f, known, err := s.boxes.Filed(ctx, d.MessageID, d.To); err == nil && known {
			ds[i].Filing = &f
		}
	}
}

// DefaultPage is how many rows a list returns unless asked otherwise.
const DefaultPage = 100

// maxPage is the most rows a list returns.
const maxPage = 999

// List returns invitations, newest first, without deliveries. Limit 0 means
// DefaultPage; Now is set by the service.
func (s *Service) List(ctx context.Context, actor directory.Actor, q Query) ([]Details, error) {
	const op = "invite.List"
	sc, err := s.authorizedScene(ctx, op, actor, directory.ReadInvitations)
	if err != nil {
		return nil, err
	}
	q.Now = sc.now
	q.Limit = pageSize(q.Limit)
	rows, err := s.store.ListInvitations(ctx, actor.Tenant, q)
	if err != nil {
		return nil, storeProblem(op, err)
	}
	guests := map[directory.UserID]directory.User{}
	out := make([]Details, 0, len(rows))
	for _, inv := range rows {
		guest, seen := guests[inv.User]
		if !seen {
			if guest, err = s.store.User(ctx, actor.Tenant, inv.User); err != nil {
				return nil, storeProblem(op, err)
			}
			guests[inv.User] = guest
		}
		out = append(out, Details{Invitation: inv, User: guest, State: inv.StateAt(guest, sc.now)})
	}
	return out, nil
}

// pageSize returns limit within its bounds.
func pageSize(limit int) int {
	if limit <= 0 {
		return DefaultPage
	}
	return min(limit, maxPage)
}

// Deliveries returns the mails of an invitation, oldest first, with all that
// relays said of them.
func (s *Service) Deliveries(ctx context.Context, actor directory.Actor, id ID) ([]Delivery, error) {
	const op = "invite.Deliveries"
	d, err := s.Get(ctx, actor, string(id))
	if err != nil {
		return nil, err
	}
	for i := range d.Deliveries {
		if d.Deliveries[i].History, err = s.store.Attempts(ctx, actor.Tenant, d.Deliveries[i].ID); err != nil {
			return nil, storeProblem(op, err)
		}
	}
	return d.Deliveries, nil
}

// Events returns the audit events of an invitation, oldest first, after the
// event with the given id.
func (s *Service) Events(ctx context.Context, actor directory.Actor, id ID, after string, limit int) ([]audit.Event, error) {
	const op = "invite.Events"
	if _, err := s.authorizedScene(ctx, op, actor, directory.ReadInvitations); err != nil {
		return nil, err
	}
	f, err := s.find(ctx, op, actor.Tenant, string(id))
	if err != nil {
		return nil, err
	}
	events, err := s.store.Events(ctx, actor.Tenant, f.inv.ID, after, pageSize(limit))
	if err != nil {
		return nil, storeProblem(op, err)
	}
	return events, nil
}
