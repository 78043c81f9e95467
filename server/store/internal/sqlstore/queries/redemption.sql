-- name: upsertPasscode :exec
insert into passcodes (
    tenant, session, purpose, invitation_id, mac, expires_at, tries, used_at
) values (
    @tenant, @session, @purpose, @invitation_id, @mac, @expires_at, @tries, @used_at
) on conflict (tenant, session) do update set
    purpose = excluded.purpose, invitation_id = excluded.invitation_id, mac = excluded.mac,
    expires_at = excluded.expires_at, tries = excluded.tries, used_at = excluded.used_at;

-- name: passcode :one
select * from passcodes where tenant = @tenant and session = @session;

-- name: updatePasscode :exec
update passcodes set tries = @tries, used_at = @used_at where tenant = @tenant and session = @session;

-- name: deletePasscodes :exec
delete from passcodes where tenant = @tenant and expires_at <= @before;

-- name: insertBlock :exec
insert into blocks (
    tenant, address_key, invitation_id, created_at
) values (
    @tenant, @address_key, @invitation_id, @created_at
) on conflict do nothing;

-- name: deleteBlock :exec
delete from blocks where tenant = @tenant and address_key = @address_key;

-- name: block :one
select * from blocks where tenant = @tenant and address_key = @address_key;

-- name: insertThrottle :exec
insert into throttles (
    tenant, bucket, marks, last_at
) values (
    @tenant, @bucket, @marks, @last_at
) on conflict do nothing;

-- name: throttle :one
select marks from throttles where tenant = @tenant and bucket = @bucket;

-- name: updateThrottle :exec
update throttles set marks = @marks, last_at = @last_at where tenant = @tenant and bucket = @bucket;

-- name: deleteThrottles :exec
delete from throttles where tenant = @tenant and last_at <= @before;

-- name: recentThrottles :many
select bucket, marks from throttles where tenant = @tenant and last_at > @since order by last_at limit @max_rows;
