-- Whom a tenant does not mail for the time being, because mail came back, they
-- complained, or somebody said so.

-- +goose Up
create table suppressions (
    tenant         text   not null references tenants (id),
    address_key    text   not null, -- spelling variants of a mailbox share it
    address_local  text   not null,
    address_domain text   not null,
    cause          text   not null,
    detail         text   not null,
    delivery_id    text   not null, -- the mail that came back; empty: none
    added_by       text   not null,
    created_at     bigint not null,
    expires_at     bigint not null, -- 0: until it is lifted
    primary key (tenant, address_key)
);
create index suppressions_expires on suppressions (tenant, expires_at);

-- +goose Down
drop table suppressions;
