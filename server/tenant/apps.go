package tenant

import (
	"context"
	"slices"
	"strings"

	"invited/server/audit"
	"invited/server/directory"
	"invited/server/problem"
)

// App returns an app by id or display name.
func (s *Service) App(ctx context.Context, actor directory.Actor, idOrName string) (directory.App, error) {
	const op = "tenant.App"
	if err := s.authorize(ctx, op, actor, directory.ReadApps); err != nil {
		return directory.App{}, err
	}
	a, err := s.store.AppByName(ctx, actor.Tenant, idOrName)
	return a, storeProblem(op, "There is no such app in this tenant.", err)
}

// ListApps returns apps by id.
func (s *Service) ListApps(ctx context.Context, actor directory.Actor, after directory.AppID, limit int) ([]directory.App, error) {
	const op = "tenant.ListApps"
	if err := s.authorize(ctx, op, actor, directory.ReadApps); err != nil {
		return nil, err
	}
	apps, err := s.store.ListApps(ctx, actor.Tenant, after, pageSize(limit))
	return apps, storeProblem(op, "", err)
}

// UserApps returns the apps a user may open.
func (s *Service) UserApps(ctx context.Context, actor directory.Actor, user directory.UserID) ([]directory.App, error) {
	const op = "tenant.UserApps"
	if err := s.mayRead(ctx, op, actor, string(user)); err != nil {
		return nil, err
	}
	apps, err := s.store.UserApps(ctx, actor.Tenant, user)
	return apps, storeProblem(op, "", err)
}

// CreateApp adds an app. homepage is what My Apps opens; it keeps the rules of
// redirect URLs and may be empty.
func (s *Service) CreateApp(ctx context.Context, actor directory.Actor, displayName, homepage string) (directory.App, error) {
	const op = "tenant.CreateApp"
	var out directory.App
	err := s.apply(ctx, op, func() (*directory.Change, error) {
		if err := s.authorize(ctx, op, actor, directory.ManageApps); err != nil {
			return nil, err
		}
		name := strings.TrimSpace(displayName)
		if err := checkName(op, "displayName", name); err != nil {
			return nil, err
		}
		if homepage != "" {
			checked, err := directory.CheckRedirect(homepage, directory.Policy{})
			if err != nil {
				return nil, problem.BadField(op, "homepage", strings.Replace(problem.Of(err).Detail, "inviteRedirectUrl", "homepage", 1))
			}
			homepage = checked
		}
		if _, err := s.store.AppByName(ctx, actor.Tenant, name); err == nil {
			return nil, conflict(op, problem.BadInput, "There is an app called %q already. Choose another name.", name)
		}
		out = directory.App{
			Tenant: actor.Tenant, ID: directory.AppID(s.newID()), AppID: s.newID(), DisplayName: name, Homepage: homepage, Created: s.now(),
		}
		return &directory.Change{Tenant: actor.Tenant, NewApps: []directory.App{out}}, nil
	})
	if err != nil {
		return directory.App{}, err
	}
	return out, nil
}

// AssignApp lets a user open an app. Who may already is left as they are.
func (s *Service) AssignApp(ctx context.Context, actor directory.Actor, app directory.AppID, user directory.UserID) error {
	const op = "tenant.AssignApp"
	return s.apply(ctx, op, func() (*directory.Change, error) {
		if err := s.authorize(ctx, op, actor, directory.ManageApps); err != nil {
			return nil, err
		}
		a, err := s.store.App(ctx, actor.Tenant, app)
		if err != nil {
			return nil, storeProblem(op, "There is no such app in this tenant.", err)
		}
		u, err := s.store.User(ctx, actor.Tenant, user)
		if u, err = live(op, u, err); err != nil {
			return nil, err
		}
		have, err := s.store.UserApps(ctx, actor.Tenant, user)
		if err != nil {
			return nil, storeProblem(op, "", err)
		}
		if slices.ContainsFunc(have, func(b directory.App) bool { return b.ID == app }) {
			return nil, nil
		}
		return &directory.Change{
			Tenant:  actor.Tenant,
			AddApps: []directory.AppAssignment{{ID: s.newID(), App: app, AppRole: directory.DefaultAppRole, User: user, Created: s.now()}},
			Audit:   []audit.Event{s.event(actor, audit.AssignApp, u, map[string]string{"app": string(app), "appName": a.DisplayName})},
		}, nil
	})
}

// UserRoles returns the directory roles a user holds.
func (s *Service) UserRoles(ctx context.Context, actor directory.Actor, user directory.UserID) ([]directory.Role, error) {
	const op = "tenant.UserRoles"
	if actor.Application || string(user) != actor.ID {
		if err := s.authorize(ctx, op, actor, directory.ReadRoles); err != nil {
			return nil, err
		}
	}
	ids, err := s.store.UserRoles(ctx, actor.Tenant, user)
	if err != nil {
		return nil, storeProblem(op, "", err)
	}
	var out []directory.Role
	for _, r := range directory.Roles() {
		if slices.Contains(ids, r.ID) {
			out = append(out, r)
		}
	}
	return out, nil
}

// AssignRole gives a user a directory role.
func (s *Service) AssignRole(ctx context.Context, actor directory.Actor, role string, user directory.UserID) error {
	return s.role(ctx, "tenant.AssignRole", actor, role, user, true)
}

// RemoveRole takes a directory role from a user.
func (s *Service) RemoveRole(ctx context.Context, actor directory.Actor, role string, user directory.UserID) error {
	return s.role(ctx, "tenant.RemoveRole", actor, role, user, false)
}

// role changes a role assignment. What is so already is left so.
func (s *Service) role(ctx context.Context, op string, actor directory.Actor, idOrName string, user directory.UserID, add bool) error {
	return s.apply(ctx, op, func() (*directory.Change, error) {
		if err := s.authorize(ctx, op, actor, directory.AssignRole); err != nil {
			return nil, err
		}
		role, ok := directory.RoleByName(idOrName)
		if !ok {
			return nil, notFound(op, "There is no such directory role.")
		}
		u, err := s.store.User(ctx, actor.Tenant, user)
		if u, err = live(op, u, err); err != nil {
			return nil, err
		}
		held, err := s.store.UserRoles(ctx, actor.Tenant, user)
		if err != nil {
			return nil, storeProblem(op, "", err)
		}
		if slices.Contains(held, role.ID) == add {
			return nil, nil
		}
		c := &directory.Change{Tenant: actor.Tenant}
		assignment := []directory.RoleAssignment{{Role: role.ID, User: user}}
		activity := audit.RemoveRoleMember
		if add {
			activity, c.AddRoles = audit.AddRoleMember, assignment
		} else {
			c.RemoveRoles = assignment
		}
		c.Audit = []audit.Event{s.event(actor, activity, u, map[string]string{"role": string(role.ID), "roleName": role.DisplayName})}
		return c, nil
	})
}
