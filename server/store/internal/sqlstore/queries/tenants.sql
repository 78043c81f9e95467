-- name: insertTenant :exec
insert into tenants (
    id, display_name, primary_domain, initial_domain, domains, language, privacy_url, privacy_contact, created_at
) values (
    @id, @display_name, @primary_domain, @initial_domain, @domains, @language, @privacy_url, @privacy_contact,
    @created_at
);

-- name: tenantByID :one
select * from tenants where id = @id;

-- name: tenants :many
select * from tenants where id > @after order by id limit @max_rows;

-- name: insertPolicy :exec
insert into policies (
    invites_from, allowed_domains, blocked_domains, redirect_hosts, fallback, on_resend, link_lifetime_us,
    recipient_per_5_min, recipient_per_day, domain_per_hour, inviter_per_minute, inviter_per_day, tenant_per_day,
    rules, providers, code_lifetime_us, tenant, version
) values (
    @invites_from, @allowed_domains, @blocked_domains, @redirect_hosts, @fallback, @on_resend, @link_lifetime_us,
    @recipient_per_5_min, @recipient_per_day, @domain_per_hour, @inviter_per_minute, @inviter_per_day,
    @tenant_per_day, @rules, @providers, @code_lifetime_us, @tenant, @version
);

-- name: policy :one
select * from policies where tenant = @tenant;

-- name: updatePolicy :execrows
update policies set
    invites_from = @invites_from, allowed_domains = @allowed_domains, blocked_domains = @blocked_domains,
    redirect_hosts = @redirect_hosts, fallback = @fallback, on_resend = @on_resend,
    link_lifetime_us = @link_lifetime_us, recipient_per_5_min = @recipient_per_5_min,
    recipient_per_day = @recipient_per_day, domain_per_hour = @domain_per_hour,
    inviter_per_minute = @inviter_per_minute, inviter_per_day = @inviter_per_day, tenant_per_day = @tenant_per_day,
    rules = @rules, providers = @providers, code_lifetime_us = @code_lifetime_us, version = version + 1
where tenant = @tenant and version = @version;

-- name: insertApplication :exec
insert into applications (
    tenant, client_id, id, display_name, secret_hash, permissions, created_at
) values (
    @tenant, @client_id, @id, @display_name, @secret_hash, @permissions, @created_at
);

-- name: application :one
select * from applications where tenant = @tenant and client_id = @client_id;
