-- name: insertInvitation :exec
insert into invitations (
    user_id, email_local, email_domain, email_key, display_name, user_type, redirect_url, send_message, message,
    language, cc_local, cc_domain, cc_name, inviter_id, inviter_name, inviter_mail, generation, jti, sends,
    created_at, sent_at, expires_at, revoked_at, accepted_at, declined_at, tenant, id, version
) values (
    @user_id, @email_local, @email_domain, @email_key, @display_name, @user_type, @redirect_url, @send_message,
    @message, @language, @cc_local, @cc_domain, @cc_name, @inviter_id, @inviter_name, @inviter_mail, @generation,
    @jti, @sends, @created_at, @sent_at, @expires_at, @revoked_at, @accepted_at, @declined_at, @tenant, @id,
    @version
);

-- name: updateInvitation :execrows
update invitations set
    user_id = @user_id, email_local = @email_local, email_domain = @email_domain, email_key = @email_key,
    display_name = @display_name, user_type = @user_type, redirect_url = @redirect_url,
    send_message = @send_message, message = @message, language = @language, cc_local = @cc_local,
    cc_domain = @cc_domain, cc_name = @cc_name, inviter_id = @inviter_id, inviter_name = @inviter_name,
    inviter_mail = @inviter_mail, generation = @generation, jti = @jti, sends = @sends, created_at = @created_at,
    sent_at = @sent_at, expires_at = @expires_at, revoked_at = @revoked_at, accepted_at = @accepted_at,
    declined_at = @declined_at, version = version + 1
where tenant = @tenant and id = @id and version = @version;

-- name: invitation :one
select * from invitations where tenant = @tenant and id = @id;

-- name: latestInvitation :one
select * from invitations where tenant = @tenant and user_id = @user_id order by id desc limit 1;

-- name: listInvitations :many
select * from invitations
where tenant = @tenant and id < @before
order by id desc limit @max_rows;

-- name: listOpenInvitations :many
select * from invitations
where tenant = @tenant and id < @before and accepted_at = 0 and revoked_at = 0
  and (expires_at = 0 or expires_at > @now)
order by id desc limit @max_rows;

-- name: listInvitationsOfUser :many
select * from invitations
where tenant = @tenant and user_id = @user_id and id < @before
  and email_key >= @email_from and email_key < @email_to
  and (cast(@open_only as bigint) = 0 or (accepted_at = 0 and revoked_at = 0 and (expires_at = 0 or expires_at > @now)))
order by id desc limit @max_rows;

-- name: listInvitationsByEmail :many
select * from invitations
where tenant = @tenant and email_key >= @email_from and email_key < @email_to
  and (email_key > @email_from or id < @before)
  and (cast(@open_only as bigint) = 0 or (accepted_at = 0 and revoked_at = 0 and (expires_at = 0 or expires_at > @now)))
order by email_key, id desc limit @max_rows;

-- name: deleteInvitations :exec
delete from invitations where tenant = @tenant and user_id = @user_id;

-- name: views :one
select * from invitation_views where tenant = @tenant and invitation_id = @invitation_id;

-- name: addViews :exec
insert into invitation_views (
    tenant, invitation_id, views, automated, first_at, last_at
) values (
    @tenant, @invitation_id, @views, @automated, @first_at, @last_at
) on conflict (tenant, invitation_id) do update set
    views = invitation_views.views + excluded.views,
    automated = invitation_views.automated + excluded.automated,
    first_at = case when excluded.first_at = 0 then invitation_views.first_at
        when invitation_views.first_at = 0 or excluded.first_at < invitation_views.first_at then excluded.first_at
        else invitation_views.first_at end,
    last_at = case when excluded.last_at > invitation_views.last_at then excluded.last_at
        else invitation_views.last_at end;

-- name: deleteViews :exec
delete from invitation_views where invitation_views.tenant = @tenant
  and invitation_id in (select i.id from invitations i where i.tenant = @tenant and i.user_id = @user_id);
