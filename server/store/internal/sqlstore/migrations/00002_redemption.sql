-- What redeeming with a mailed code, and asking not to be invited, need. Codes
-- and sessions are kept as hashes only.

-- +goose Up
alter table policies add column rules text not null default 'legacy';
alter table policies add column providers text not null default '';
alter table policies add column code_lifetime_us bigint not null default 600000000;

alter table deliveries add column kind text not null default 'invitation';

create table passcodes (
    tenant        text   not null references tenants (id),
    session       text   not null, -- hash of the id of the session that asked
    purpose       text   not null,
    invitation_id text   not null,
    mac           text   not null, -- HMAC of the code
    expires_at    bigint not null,
    tries         bigint not null,
    used_at       bigint not null,
    primary key (tenant, session)
);
create index passcodes_expires on passcodes (tenant, expires_at);

-- Who asked not to be invited by a tenant again.
create table blocks (
    tenant        text   not null references tenants (id),
    address_key   text   not null,
    invitation_id text   not null, -- whose link said so
    created_at    bigint not null,
    primary key (tenant, address_key)
);

-- One row for each address or network whose tries are counted. The tenant is
-- empty for what is no tenant's, so it refers to none.
create table throttles (
    tenant  text   not null,
    bucket  text   not null,
    marks   text   not null, -- JSON: when the tries were, oldest first
    last_at bigint not null,
    primary key (tenant, bucket)
);
create index throttles_last on throttles (tenant, last_at);

-- +goose Down
drop table throttles;
drop table blocks;
drop table passcodes;
alter table deliveries drop column kind;
alter table policies drop column code_lifetime_us;
alter table policies drop column providers;
alter table policies drop column rules;
