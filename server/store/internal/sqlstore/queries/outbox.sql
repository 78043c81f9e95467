-- name: listMail :many
select * from deliveries where tenant = @tenant and id < @before order by id desc limit @max_rows;

-- name: listOddMail :many
select * from deliveries
where tenant = @tenant and state = @state and state not in ('queued', 'sending', 'delivered') and id < @before
order by id desc limit @max_rows;

-- name: listOpenMail :many
-- Out of what is open, which is little, and not out of all of the tenant's
-- mail: hence a condition on the tenant that its key does not help with.
select * from deliveries
where due_at > 0 and tenant || '' = @tenant and state = @state and id < @before
order by id desc limit @max_rows;

-- name: listDeliveredMail :many
-- Nearly all mail is delivered, so that few rows are looked at in vain.
select * from deliveries where tenant = @tenant and state = 'delivered' and id < @before
order by id desc limit @max_rows;

-- name: redrive :execrows
-- Giving up counts from queued_at, and so do the sending limits: it is mailed
-- anew.
update deliveries set state = 'queued', owner = '', queued_at = @now, due_at = @now, canceled = 0
where deliveries.tenant = @tenant and id = @id and state in ('failed', 'deferred')
  and exists (select 1 from delivery_bodies b
      where b.tenant = deliveries.tenant and b.delivery_id = deliveries.id and length(b.raw) > 0);
