-- name: upsertSuppression :exec
-- What has no end stays as it is.
insert into suppressions (
    tenant, address_key, address_local, address_domain, cause, detail, delivery_id, added_by, created_at, expires_at
) values (
    @tenant, @address_key, @address_local, @address_domain, @cause, @detail, @delivery_id, @added_by, @created_at, @expires_at
) on conflict (tenant, address_key) do update set
    address_local = excluded.address_local, address_domain = excluded.address_domain, cause = excluded.cause,
    detail = excluded.detail, delivery_id = excluded.delivery_id, added_by = excluded.added_by,
    created_at = excluded.created_at, expires_at = excluded.expires_at
where suppressions.expires_at > 0 or excluded.expires_at = 0;

-- name: suppression :one
select * from suppressions where tenant = @tenant and address_key = @address_key;

-- name: listSuppressions :many
select * from suppressions
where tenant = @tenant and address_key > @after and (expires_at = 0 or expires_at > @now)
order by address_key limit @max_rows;

-- name: deleteSuppression :exec
delete from suppressions where tenant = @tenant and address_key = @address_key;

-- name: deleteSuppressions :exec
-- Those that have ended.
delete from suppressions where tenant = @tenant and expires_at > 0 and expires_at <= @now;

-- name: returnMail :execrows
-- Mail that came back, or whose relay says that it is late. That word counts
-- as an attempt, so that no later one takes its number.
update deliveries set state = @state, owner = '', due_at = null, attempts = attempts + 1
where tenant = @tenant and id = @id and state = @was;
