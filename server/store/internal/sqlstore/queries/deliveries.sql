-- name: insertDelivery :exec
insert into deliveries (
    tenant, id, invitation_id, user_id, inviter, limit_key, to_local, to_domain, mail_from, message_id, state,
    queued_at, due_at, owner, attempts, canceled, kind
) values (
    @tenant, @id, @invitation_id, @user_id, @inviter, @limit_key, @to_local, @to_domain, @mail_from, @message_id,
    @state, @queued_at, @due_at, @owner, @attempts, @canceled, @kind
);

-- name: insertBody :exec
insert into delivery_bodies (
    tenant, delivery_id, raw
) values (
    @tenant, @delivery_id, @raw
);

-- name: deliveriesOfInvitation :many
select * from deliveries where tenant = @tenant and invitation_id = @invitation_id order by id;

-- name: attempts :many
select * from delivery_attempts where tenant = @tenant and delivery_id = @delivery_id order by number;

-- name: lastAttempt :one
select * from delivery_attempts where tenant = @tenant and delivery_id = @delivery_id order by number desc limit 1;

-- name: body :one
select raw from delivery_bodies where tenant = @tenant and delivery_id = @delivery_id;

-- name: delivery :one
select * from deliveries where tenant = @tenant and id = @id;

-- name: due :many
-- Across tenants: what a worker may claim. Engines that let several nodes
-- claim at once have to lock these rows and skip locked ones.
select * from deliveries where due_at <= @now order by due_at limit @max_rows;

-- name: lease :exec
update deliveries set state = 'sending', owner = @owner, due_at = @until, attempts = attempts + 1
where tenant = @tenant and id = @id and due_at is not null;

-- name: nextDue :one
select due_at from deliveries where due_at is not null order by due_at limit 1;

-- name: finishDelivered :exec
-- What the relay took is never sent again, whoever says so.
update deliveries set state = 'delivered', owner = '', due_at = null
where tenant = @tenant and id = @id and state not in ('delivered', 'bounced');

-- name: finishLeased :execrows
-- Only the owner of the lease may say anything else, and only of the attempt
-- that it leased. A number of 0 is not checked.
update deliveries set state = @state, owner = '', due_at = @due_at
where tenant = @tenant and id = @id and state = 'sending' and owner = @owner
  and (attempts = @number or @number = 0);

-- name: renew :exec
update deliveries set due_at = @until
where tenant = @tenant and id = @id and state = 'sending' and owner = @owner;

-- name: giveBack :execrows
-- An attempt that was not begun does not count.
update deliveries set state = case when attempts > 1 then 'deferred' else 'queued' end,
    owner = '', due_at = @now, attempts = attempts - 1
where tenant = @tenant and id = @id and state = 'sending' and owner = @owner;

-- name: releaseLeases :execrows
-- Across tenants and owners: for an engine that knows that none of them lives.
update deliveries set owner = '', due_at = @now
where due_at > @now and state = 'sending';

-- name: capDue :execrows
-- Across tenants: what only a clock that was wrong can have put off so far.
update deliveries set due_at = @latest where due_at > @latest;

-- name: insertAttempt :exec
-- Of a delivery that is there: it may have been purged.
insert into delivery_attempts (
    tenant, delivery_id, number, at, relay, stage, code, enhanced, reply, permanent, ambiguous
) select d.tenant, d.id, cast(@number as bigint), cast(@at as bigint), cast(@relay as text), cast(@stage as text),
    cast(@code as bigint), cast(@enhanced as text), cast(@reply as text), cast(@permanent as bigint),
    cast(@ambiguous as bigint)
from deliveries d where d.tenant = @tenant and d.id = @delivery_id
on conflict do nothing;

-- name: cancelWaiting :exec
update deliveries set state = 'canceled', owner = '', due_at = null
where deliveries.tenant = @tenant and state in ('queued', 'deferred')
  and invitation_id in (select i.id from invitations i where i.tenant = @tenant and i.user_id = @user_id);

-- name: cancelSending :exec
update deliveries set canceled = 1
where deliveries.tenant = @tenant and state = 'sending'
  and invitation_id in (select i.id from invitations i where i.tenant = @tenant and i.user_id = @user_id);

-- name: cancelMarked :exec
-- What was withdrawn while it was being sent gets no further attempt.
update deliveries set state = 'canceled', owner = '', due_at = null
where tenant = @tenant and id = @id and canceled = 1 and due_at is not null;

-- name: sentToRecipient :many
select queued_at from deliveries where tenant = @tenant and limit_key = @limit_key and queued_at > @since
order by queued_at desc limit @max_rows;

-- name: countToDomain :one
select count(*) from (select 1 from deliveries
where tenant = @tenant and to_domain = @to_domain and queued_at > @since limit @max_rows) as counted;

-- name: countByInviter :one
select count(*) from (select 1 from deliveries
where tenant = @tenant and inviter = @inviter and queued_at > @since limit @max_rows) as counted;

-- name: countByTenant :one
select count(*) from (select 1 from deliveries
where tenant = @tenant and queued_at > @since limit @max_rows) as counted;

-- name: staleBodies :many
-- The bodies of final deliveries that were queued before id.
select b.delivery_id from delivery_bodies b join deliveries d on d.tenant = b.tenant and d.id = b.delivery_id
where b.tenant = @tenant and b.delivery_id < @before and d.due_at is null
order by b.delivery_id limit @max_rows;

-- name: deleteBody :exec
delete from delivery_bodies where tenant = @tenant and delivery_id = @delivery_id;

-- name: deleteBodies :exec
delete from delivery_bodies where delivery_bodies.tenant = @tenant and delivery_id in (select d.id from deliveries d where d.tenant = @tenant
    and d.invitation_id in (select i.id from invitations i where i.tenant = @tenant and i.user_id = @user_id));

-- name: deleteAttempts :exec
delete from delivery_attempts where delivery_attempts.tenant = @tenant and delivery_id in (select d.id from deliveries d where d.tenant = @tenant
    and d.invitation_id in (select i.id from invitations i where i.tenant = @tenant and i.user_id = @user_id));

-- name: deleteDeliveries :exec
delete from deliveries where deliveries.tenant = @tenant
  and invitation_id in (select i.id from invitations i where i.tenant = @tenant and i.user_id = @user_id);
