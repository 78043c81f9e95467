-- name: insertGroup :exec
insert into groups (
    tenant, id, display_name, name_key, mail_nickname, description, created_at
) values (
    @tenant, @id, @display_name, @name_key, @mail_nickname, @description, @created_at
);

-- name: group :one
select * from groups where tenant = @tenant and id = @id;

-- name: groupByName :one
select * from groups where tenant = @tenant and name_key = @name_key order by id limit 1;

-- name: listGroups :many
select * from groups where tenant = @tenant and id > @after order by id limit @max_rows;

-- name: userGroups :many
select g.* from group_members m join groups g on g.tenant = m.tenant and g.id = m.group_id
where m.tenant = @tenant and m.user_id = @user_id order by m.group_id;

-- name: groupMembers :many
select u.* from group_members m join users u on u.tenant = m.tenant and u.id = m.user_id
where m.tenant = @tenant and m.group_id = @group_id and m.user_id > @after and u.live = 1
order by m.user_id limit @max_rows;

-- name: addMember :exec
insert into group_members (
    tenant, group_id, user_id
) values (
    @tenant, @group_id, @user_id
) on conflict do nothing;

-- name: removeMember :exec
delete from group_members where tenant = @tenant and group_id = @group_id and user_id = @user_id;

-- name: deleteMemberships :exec
delete from group_members where tenant = @tenant and user_id = @user_id;

-- name: addRole :exec
insert into role_assignments (
    tenant, user_id, role_id
) values (
    @tenant, @user_id, @role_id
) on conflict do nothing;

-- name: removeRole :exec
delete from role_assignments where tenant = @tenant and user_id = @user_id and role_id = @role_id;

-- name: deleteRoles :exec
delete from role_assignments where tenant = @tenant and user_id = @user_id;

-- name: userRoles :many
select role_id from role_assignments where tenant = @tenant and user_id = @user_id order by role_id;

-- name: insertApp :exec
insert into apps (
    tenant, id, app_id, display_name, name_key, homepage, created_at
) values (
    @tenant, @id, @app_id, @display_name, @name_key, @homepage, @created_at
);

-- name: app :one
select * from apps where tenant = @tenant and id = @id;

-- name: appByAppID :one
select * from apps where tenant = @tenant and app_id = @app_id limit 1;

-- name: appByName :one
select * from apps where tenant = @tenant and name_key = @name_key order by id limit 1;

-- name: listApps :many
select * from apps where tenant = @tenant and id > @after order by id limit @max_rows;

-- name: userApps :many
select distinct p.* from app_assignments a join apps p on p.tenant = a.tenant and p.id = a.app
where a.tenant = @tenant and a.user_id = @user_id order by p.id;

-- name: addApp :exec
insert into app_assignments (
    tenant, user_id, app, app_role, id, created_at
) values (
    @tenant, @user_id, @app, @app_role, @id, @created_at
) on conflict do nothing;

-- name: removeApp :exec
delete from app_assignments where tenant = @tenant and user_id = @user_id and app = @app and app_role = @app_role;

-- name: deleteAppAssignments :exec
delete from app_assignments where tenant = @tenant and user_id = @user_id;
