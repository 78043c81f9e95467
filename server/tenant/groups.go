package tenant

import (
	"context"
	"slices"
	"strings"

	"invited/mail"
	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// Group returns a group by id or display name.
func (s *Service) Group(ctx context.Context, actor directory.Actor, idOrName string) (directory.Group, error) {
	const op = "tenant.Group"
	if err := s.authorize(ctx, op, actor, directory.ReadGroups); err != nil {
		return directory.Group{}, err
	}
	g, err := s.store.GroupByName(ctx, actor.Tenant, idOrName)
	return g, storeProblem(op, "There is no such group in this tenant.", err)
}

// ListGroups returns groups by id.
func (s *Service) ListGroups(ctx context.Context, actor directory.Actor, after directory.GroupID, limit int) ([]directory.Group, error) {
	const op = "tenant.ListGroups"
	if err := s.authorize(ctx, op, actor, directory.ReadGroups); err != nil {
		return nil, err
	}
	groups, err := s.store.ListGroups(ctx, actor.Tenant, after, pageSize(limit))
	return groups, storeProblem(op, "", err)
}

// GroupMembers returns the members of a group by id.
func (s *Service) GroupMembers(ctx context.Context, actor directory.Actor, group directory.GroupID, after directory.UserID, limit int) ([]directory.User, error) {
	const op = "tenant.GroupMembers"
	if _, err := s.Group(ctx, actor, string(group)); err != nil {
		return nil, err
	}
	users, err := s.store.GroupMembers(ctx, actor.Tenant, group, after, pageSize(limit))
	return users, storeProblem(op, "", err)
}

// UserGroups returns the groups a user is in.
func (s *Service) UserGroups(ctx context.Context, actor directory.Actor, user directory.UserID) ([]directory.Group, error) {
	const op = "tenant.UserGroups"
	if err := s.mayRead(ctx, op, actor, string(user)); err != nil {
		return nil, err
	}
	groups, err := s.store.UserGroups(ctx, actor.Tenant, user)
	return groups, storeProblem(op, "", err)
}

// CreateGroup adds an assigned security group. Its name is unique in the
// tenant, ignoring case, because invitations name groups.
func (s *Service) CreateGroup(ctx context.Context, actor directory.Actor, displayName, description string) (directory.Group, error) {
	const op = "tenant.CreateGroup"
	var out directory.Group
	err := s.apply(ctx, op, func() (*directory.Change, error) {
		if err := s.authorize(ctx, op, actor, directory.ManageGroups); err != nil {
			return nil, err
		}
		name := strings.TrimSpace(displayName)
		if err := checkName(op, "displayName", name); err != nil {
			return nil, err
		}
		if err := mail.ValidName(description, 1024); err != nil {
			return nil, problem.BadField(op, "description", "Invalid value for description: "+nameDetail(err))
		}
		if _, err := s.store.GroupByName(ctx, actor.Tenant, name); err == nil {
			return nil, conflict(op, problem.BadInput, "There is a group called %q already. Choose another name.", name)
		}
		out = directory.Group{
			Tenant: actor.Tenant, ID: directory.GroupID(s.newID()), DisplayName: name, MailNickname: nickname(name), Description: description, Created: s.now(),
		}
		return &directory.Change{Tenant: actor.Tenant, NewGroups: []directory.Group{out}}, nil
	})
	if err != nil {
		return directory.Group{}, err
	}
	return out, nil
}

// checkName refuses names that are empty or cannot be shown.
func checkName(op, field, name string) error {
	if name == "" {
		return problem.BadField(op, field, "Invalid value for "+field+": it is empty.")
	}
	if err := mail.ValidName(name, 256); err != nil {
		return problem.BadField(op, field, "Invalid value for "+field+": "+nameDetail(err))
	}
	return nil
}

// nickname returns a mailNickname for a name: its letters and digits.
func nickname(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// AddMember puts a user into a group. A member already is an Invalid problem,
// in the words that clients of Graph look for.
func (s *Service) AddMember(ctx context.Context, actor directory.Actor, group directory.GroupID, user directory.UserID) error {
	return s.member(ctx, "tenant.AddMember", actor, group, user, true)
}

// RemoveMember takes a user out of a group. Somebody who is no member is an
// Invalid problem.
func (s *Service) RemoveMember(ctx context.Context, actor directory.Actor, group directory.GroupID, user directory.UserID) error {
	return s.member(ctx, "tenant.RemoveMember", actor, group, user, false)
}

// member changes a membership.
func (s *Service) member(ctx context.Context, op string, actor directory.Actor, group directory.GroupID, user directory.UserID, add bool) error {
	return s.apply(ctx, op, func() (*directory.Change, error) {
		if err := s.authorize(ctx, op, actor, directory.ManageGroups); err != nil {
			return nil, err
		}
		g, err := s.store.Group(ctx, actor.Tenant, group)
		if err != nil {
			return nil, storeProblem(op, "There is no such group in this tenant.", err)
		}
		u, err := s.store.User(ctx, actor.Tenant, user)
		if u, err = live(op, u, err); err != nil {
			return nil, err
		}
		groups, err := s.store.UserGroups(ctx, actor.Tenant, user)
		if err != nil {
			return nil, storeProblem(op, "", err)
		}
		is := slices.ContainsFunc(groups, func(h directory.Group) bool { return h.ID == group })
		m := []directory.Membership{{Group: group, User: user}}
		details := map[string]string{"group": string(group), "groupName": g.DisplayName}
		switch {
		case add && is:
			return nil, problem.BadField(op, "members", "One or more added object references already exist for the following modified properties: 'members'.")
		case add:
			return &directory.Change{Tenant: actor.Tenant, AddMembers: m, Audit: []audit.Event{s.event(actor, audit.AddMember, u, details)}}, nil
		case !is:
			return nil, problem.BadField(op, "members", "One or more removed object references do not exist for the following modified properties: 'members'.")
		default:
			return &directory.Change{Tenant: actor.Tenant, RemoveMembers: m, Audit: []audit.Event{s.event(actor, audit.RemoveMember, u, details)}}, nil
		}
	})
}
