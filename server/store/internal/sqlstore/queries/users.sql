-- name: insertUser :exec
insert into users (
    upn, display_name, given_name, surname, job_title, company_name, mail_nickname, mail, other_mails,
    proxy_addresses, user_type, creation_type, external_state, state_changed_at, enabled, preferred_language,
    sponsors, identities, invited_by, password_hash, created_at, deleted_at, generation, live, name_key, mail_key,
    address_keys, tenant, id, version
) values (
    @upn, @display_name, @given_name, @surname, @job_title, @company_name, @mail_nickname, @mail, @other_mails,
    @proxy_addresses, @user_type, @creation_type, @external_state, @state_changed_at, @enabled,
    @preferred_language, @sponsors, @identities, @invited_by, @password_hash, @created_at, @deleted_at,
    @generation, @live, @name_key, @mail_key, @address_keys, @tenant, @id, @version
);

-- name: userLock :one
-- What an update has to know of the row it replaces.
select version, live, address_keys from users where tenant = @tenant and id = @id;

-- name: updateUser :execrows
update users set
    upn = @upn, display_name = @display_name, given_name = @given_name, surname = @surname, job_title = @job_title,
    company_name = @company_name, mail_nickname = @mail_nickname, mail = @mail, other_mails = @other_mails,
    proxy_addresses = @proxy_addresses, user_type = @user_type, creation_type = @creation_type,
    external_state = @external_state, state_changed_at = @state_changed_at, enabled = @enabled,
    preferred_language = @preferred_language, sponsors = @sponsors, identities = @identities,
    invited_by = @invited_by, password_hash = @password_hash, created_at = @created_at, deleted_at = @deleted_at,
    generation = @generation, live = @live, name_key = @name_key, mail_key = @mail_key,
    address_keys = @address_keys, version = version + 1
where tenant = @tenant and id = @id and version = @version;

-- name: deleteUser :exec
delete from users where tenant = @tenant and id = @id;

-- name: insertAddress :exec
insert into user_addresses (
    tenant, address_key, holder, user_id, kinds
) values (
    @tenant, @address_key, @holder, @user_id, @kinds
);

-- name: deleteAddress :exec
delete from user_addresses where tenant = @tenant and address_key = @address_key and holder = @holder;

-- name: user :one
select * from users where tenant = @tenant and id = @id;

-- name: userByName :one
-- Any name: address or UPN, of a live user.
select u.* from user_addresses a join users u on u.tenant = a.tenant and u.id = a.user_id
where a.tenant = @tenant and a.address_key = @address_key and a.holder = '';

-- name: userByUPN :one
select u.* from user_addresses a join users u on u.tenant = a.tenant and u.id = a.user_id
where a.tenant = @tenant and a.address_key = @address_key and a.holder = '' and a.kinds >= 8;

-- name: listUsersByName :many
-- Live users have one row for a name, deleted ones may have many.
select u.* from user_addresses a join users u on u.tenant = a.tenant and u.id = a.user_id
where a.tenant = @tenant and a.address_key = @address_key and a.holder >= @from_holder and a.holder < @to_holder
  and a.kinds >= @min_kinds and a.kinds <> @not_kinds
  and u.live = @live and u.id > @after
  and (u.user_type = @user_type or @user_type = '')
  and (u.external_state = @external_state or @external_state = '')
  and u.mail_key >= @mail_from and u.mail_key < @mail_to
  and u.name_key >= @name_from and u.name_key < @name_to
order by a.holder limit @max_rows;

-- name: listUsers :many
select * from users
where tenant = @tenant and live = @live and id > @after
order by id limit @max_rows;

-- name: listUsersByType :many
select * from users
where tenant = @tenant and live = @live and user_type = @user_type and id > @after
order by id limit @max_rows;

-- name: listUsersByState :many
select * from users
where tenant = @tenant and live = @live and external_state = @external_state and id > @after
  and (user_type = @user_type or @user_type = '')
order by id limit @max_rows;

-- name: listUsersByMailPrefix :many
select * from users
where tenant = @tenant and live = @live and mail_key >= @mail_from and mail_key < @mail_to
  and (mail_key > @mail_from or id > @after)
  and (user_type = @user_type or @user_type = '') and (external_state = @external_state or @external_state = '')
  and name_key >= @name_from and name_key < @name_to
order by mail_key, id limit @max_rows;

-- name: listUsersByNamePrefix :many
select * from users
where tenant = @tenant and live = @live and name_key >= @name_from and name_key < @name_to
  and (name_key > @name_from or id > @after)
  and (user_type = @user_type or @user_type = '') and (external_state = @external_state or @external_state = '')
order by name_key, id limit @max_rows;

-- name: userKeys :one
-- Where a user stands in the lists that are ordered by a prefixed field.
select mail_key, name_key from users where tenant = @tenant and id = @id;
