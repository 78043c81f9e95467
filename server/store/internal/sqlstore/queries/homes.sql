-- name: insertHome :execrows
insert into homes (
    display_name, allow_email_verified, federated, sign_in, tenant, domain, version
) values (
    @display_name, @allow_email_verified, @federated, @sign_in, @tenant, @domain, @version
) on conflict do nothing;

-- name: updateHome :execrows
update homes set
    display_name = @display_name, allow_email_verified = @allow_email_verified, federated = @federated,
    sign_in = @sign_in, version = version + 1
where tenant = @tenant and domain = @domain and version = @version;

-- name: home :one
select * from homes where tenant = @tenant and domain = @domain;

-- name: listHomes :many
select * from homes where tenant = @tenant and domain > @after order by domain limit @max_rows;

-- name: addHomeAccount :exec
insert into home_accounts (
    tenant, domain, address_key
) values (
    @tenant, @domain, @address_key
) on conflict do nothing;

-- name: removeHomeAccount :exec
delete from home_accounts where tenant = @tenant and domain = @domain and address_key = @address_key;

-- name: homeAccount :one
select address_key from home_accounts where tenant = @tenant and domain = @domain and address_key = @address_key;

-- name: homeAccounts :many
select address_key from home_accounts where tenant = @tenant and domain = @domain and address_key > @after
order by address_key limit @max_rows;
