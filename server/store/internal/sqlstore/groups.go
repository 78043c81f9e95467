package sqlstore

import (
	"cmp"
	"context"
	"errors"

	"invited/server/directory"
)

// Group returns a group.
func (r *Reader) Group(ctx context.Context, t directory.TenantID, id directory.GroupID) (directory.Group, error) {
	return one(ctx, r, r.q.group, groupParams{Tenant: string(t), ID: string(id)}, groupOf)
}

// GroupByName returns the group with an id or else a display name, ignoring
// case. Of several groups with one name it is the first by id.
func (r *Reader) GroupByName(ctx context.Context, t directory.TenantID, idOrName string) (directory.Group, error) {
	g, err := r.Group(ctx, t, directory.GroupID(idOrName))
	if errors.Is(err, directory.ErrNotFound) {
		return one(ctx, r, r.q.groupByName, groupByNameParams{Tenant: string(t), NameKey: key(idOrName)}, groupOf)
	}
	return g, err
}

// ListGroups lists the groups by id.
func (r *Reader) ListGroups(ctx context.Context, t directory.TenantID, after directory.GroupID, limit int) ([]directory.Group, error) {
	return many(ctx, r, r.q.listGroups, listGroupsParams{Tenant: string(t), After: string(after), MaxRows: pageSize(limit)}, groupOf)
}

// UserGroups lists the groups of a user by id.
func (r *Reader) UserGroups(ctx context.Context, t directory.TenantID, u directory.UserID) ([]directory.Group, error) {
	return many(ctx, r, r.q.userGroups, userGroupsParams{Tenant: string(t), UserID: string(u)}, groupOf)
}

// GroupMembers lists the live members of a group by id.
func (r *Reader) GroupMembers(ctx context.Context, t directory.TenantID, g directory.GroupID, after directory.UserID, limit int) ([]directory.User, error) {
	return many(ctx, r, r.q.groupMembers, groupMembersParams{
		Tenant: string(t), GroupID: string(g), After: string(after), MaxRows: pageSize(limit),
	}, userOf)
}

// UserRoles lists the roles of a user.
func (r *Reader) UserRoles(ctx context.Context, t directory.TenantID, u directory.UserID) ([]directory.RoleID, error) {
	return many(ctx, r, r.q.userRoles, userRolesParams{Tenant: string(t), UserID: string(u)},
		func(id string) (directory.RoleID, error) { return directory.RoleID(id), nil })
}

// App returns an app.
func (r *Reader) App(ctx context.Context, t directory.TenantID, id directory.AppID) (directory.App, error) {
	return one(ctx, r, r.q.app, appParams{Tenant: string(t), ID: string(id)}, appOf)
}

// AppByName returns the app with an object id, else with an application id,
// else with a display name, ignoring case.
func (r *Reader) AppByName(ctx context.Context, t directory.TenantID, idOrName string) (directory.App, error) {
	a, err := r.App(ctx, t, directory.AppID(idOrName))
	if errors.Is(err, directory.ErrNotFound) {
		a, err = one(ctx, r, r.q.appByAppID, appByAppIDParams{Tenant: string(t), AppID: idOrName}, appOf)
	}
	if errors.Is(err, directory.ErrNotFound) {
		a, err = one(ctx, r, r.q.appByName, appByNameParams{Tenant: string(t), NameKey: key(idOrName)}, appOf)
	}
	return a, err
}

// ListApps lists the apps by id.
func (r *Reader) ListApps(ctx context.Context, t directory.TenantID, after directory.AppID, limit int) ([]directory.App, error) {
	return many(ctx, r, r.q.listApps, listAppsParams{Tenant: string(t), After: string(after), MaxRows: pageSize(limit)}, appOf)
}

// UserApps lists the apps assigned to a user by id, each once.
func (r *Reader) UserApps(ctx context.Context, t directory.TenantID, u directory.UserID) ([]directory.App, error) {
	return many(ctx, r, r.q.userApps, userAppsParams{Tenant: string(t), UserID: string(u)}, appOf)
}

func groupOf(row Group) (directory.Group, error) {
	return directory.Group{
		Tenant:       directory.TenantID(row.Tenant),
		ID:           directory.GroupID(row.ID),
		DisplayName:  row.DisplayName,
		MailNickname: row.MailNickname,
		Description:  row.Description,
		Created:      moment(row.CreatedAt),
	}, nil
}

func newGroup(g directory.Group) step {
	row := insertGroupParams{
		Tenant:       string(g.Tenant),
		ID:           string(g.ID),
		DisplayName:  g.DisplayName,
		NameKey:      key(g.DisplayName),
		MailNickname: g.MailNickname,
		Description:  g.Description,
		CreatedAt:    micros(g.Created),
	}
	return func(ctx context.Context, q *Queries) error { return q.insertGroup(ctx, row) }
}

func appOf(row App) (directory.App, error) {
	return directory.App{
		Tenant:      directory.TenantID(row.Tenant),
		ID:          directory.AppID(row.ID),
		AppID:       row.AppID,
		DisplayName: row.DisplayName,
		Homepage:    row.Homepage,
		Created:     moment(row.CreatedAt),
	}, nil
}

func newApp(a directory.App) step {
	row := insertAppParams{
		Tenant:      string(a.Tenant),
		ID:          string(a.ID),
		AppID:       a.AppID,
		DisplayName: a.DisplayName,
		NameKey:     key(a.DisplayName),
		Homepage:    a.Homepage,
		CreatedAt:   micros(a.Created),
	}
	return func(ctx context.Context, q *Queries) error { return q.insertApp(ctx, row) }
}

// assignments plans who is put into and taken out of groups, roles and apps.
// What is there already, or gone already, is no error.
func (p *Plan) assignments(c directory.Change) {
	t := string(c.Tenant)
	each(p, c.RemoveMembers, func(m directory.Membership) step {
		row := removeMemberParams{Tenant: t, GroupID: string(m.Group), UserID: string(m.User)}
		return func(ctx context.Context, q *Queries) error { return q.removeMember(ctx, row) }
	})
	each(p, c.AddMembers, func(m directory.Membership) step {
		row := addMemberParams{Tenant: t, GroupID: string(m.Group), UserID: string(m.User)}
		return func(ctx context.Context, q *Queries) error { return q.addMember(ctx, row) }
	})
	each(p, c.RemoveRoles, func(a directory.RoleAssignment) step {
		row := removeRoleParams{Tenant: t, UserID: string(a.User), RoleID: string(a.Role)}
		return func(ctx context.Context, q *Queries) error { return q.removeRole(ctx, row) }
	})
	each(p, c.AddRoles, func(a directory.RoleAssignment) step {
		row := addRoleParams{Tenant: t, UserID: string(a.User), RoleID: string(a.Role)}
		return func(ctx context.Context, q *Queries) error { return q.addRole(ctx, row) }
	})
	each(p, c.RemoveApps, func(a directory.AppAssignment) step {
		row := removeAppParams{Tenant: t, UserID: string(a.User), App: string(a.App), AppRole: cmp.Or(a.AppRole, directory.DefaultAppRole)}
		return func(ctx context.Context, q *Queries) error { return q.removeApp(ctx, row) }
	})
	each(p, c.AddApps, func(a directory.AppAssignment) step {
		row := addAppParams{
			Tenant: t, UserID: string(a.User), App: string(a.App), AppRole: cmp.Or(a.AppRole, directory.DefaultAppRole),
			ID: a.ID, CreatedAt: micros(a.Created),
		}
		return func(ctx context.Context, q *Queries) error { return q.addApp(ctx, row) }
	})
}
