-- name: insertEvent :exec
insert into audit_events (
    tenant, id, at, activity, result, reason, actor, actor_name, target, target_name, invitation_id, correlation,
    details
) values (
    @tenant, @id, @at, @activity, @result, @reason, @actor, @actor_name, @target, @target_name, @invitation_id,
    @correlation, @details
);

-- name: listEvents :many
select * from audit_events where tenant = @tenant and id < @before order by id desc limit @max_rows;

-- name: listEventsOfUser :many
select * from audit_events where tenant = @tenant and target = @target and id < @before order by id desc limit @max_rows;

-- name: listEventsOfInvitation :many
select * from audit_events where tenant = @tenant and invitation_id = @invitation_id and id > @after order by id limit @max_rows;
