-- The whole schema. It is the same text for every engine:
--   ids and JSON are text; a missing list or map is the empty text;
--   times are unix microseconds UTC in bigint, 0 is "not yet" (one unit for all,
--   fine enough to order a queue by);
--   truth is bigint 0 or 1; nothing is null but deliveries.due_at;
--   the tenant leads every key and index, but for the queue's, which every
--   worker walks across tenants.

-- +goose Up
create table tenants (
    id              text   not null primary key,
    display_name    text   not null,
    primary_domain  text   not null,
    initial_domain  text   not null,
    domains         text   not null, -- JSON
    language        text   not null,
    privacy_url     text   not null,
    privacy_contact text   not null,
    created_at      bigint not null
);

create table policies (
    tenant                text   not null primary key references tenants (id),
    invites_from          text   not null,
    allowed_domains       text   not null, -- JSON
    blocked_domains       text   not null, -- JSON
    redirect_hosts        text   not null, -- JSON
    fallback              text   not null,
    on_resend             text   not null,
    link_lifetime_us      bigint not null,
    recipient_per_5_min   bigint not null,
    recipient_per_day     bigint not null,
    domain_per_hour       bigint not null,
    inviter_per_minute    bigint not null,
    inviter_per_day       bigint not null,
    tenant_per_day        bigint not null,
    version               bigint not null
);

create table users (
    tenant             text   not null references tenants (id),
    id                 text   not null,
    upn                text   not null,
    display_name       text   not null,
    given_name         text   not null,
    surname            text   not null,
    job_title          text   not null,
    company_name       text   not null,
    mail_nickname      text   not null,
    mail               text   not null,
    other_mails        text   not null, -- JSON
    proxy_addresses    text   not null, -- JSON
    user_type          text   not null,
    creation_type      text   not null,
    external_state     text   not null,
    state_changed_at   bigint not null,
    enabled            bigint not null,
    preferred_language text   not null,
    sponsors           text   not null, -- JSON
    identities         text   not null, -- JSON
    invited_by         text   not null,
    password_hash      text   not null,
    created_at         bigint not null,
    deleted_at         bigint not null,
    generation         bigint not null,
    version            bigint not null,
    live               bigint not null, -- 1 until deleted_at is set
    name_key           text   not null, -- display_name in lower case
    mail_key           text   not null, -- mail in lower case
    address_keys       text   not null, -- what user_addresses holds of this user
    primary key (tenant, id)
);
create index users_live on users (tenant, live, id);
create index users_type on users (tenant, live, user_type, id);
create index users_state on users (tenant, live, external_state, id);
create index users_name on users (tenant, live, name_key, id);
create index users_mail on users (tenant, live, mail_key, id);

-- One row for every name a user can be found by. The holder is empty for live
-- users, so that the key admits one of them, and the user id for deleted ones.
create table user_addresses (
    tenant      text   not null,
    address_key text   not null,
    holder      text   not null,
    user_id     text   not null,
    kinds       bigint not null, -- sum of 1 mail, 2 other mail, 4 proxy address, 8 UPN
    primary key (tenant, address_key, holder)
);

create table groups (
    tenant        text   not null references tenants (id),
    id            text   not null,
    display_name  text   not null,
    name_key      text   not null,
    mail_nickname text   not null,
    description   text   not null,
    created_at    bigint not null,
    primary key (tenant, id)
);
create index groups_name on groups (tenant, name_key, id);

create table group_members (
    tenant   text not null,
    group_id text not null,
    user_id  text not null,
    primary key (tenant, group_id, user_id),
    foreign key (tenant, group_id) references groups (tenant, id),
    foreign key (tenant, user_id) references users (tenant, id)
);
create index group_members_user on group_members (tenant, user_id, group_id);

create table role_assignments (
    tenant  text not null,
    user_id text not null,
    role_id text not null,
    primary key (tenant, user_id, role_id),
    foreign key (tenant, user_id) references users (tenant, id)
);

create table apps (
    tenant       text   not null references tenants (id),
    id           text   not null,
    app_id       text   not null,
    display_name text   not null,
    name_key     text   not null,
    homepage     text   not null,
    created_at   bigint not null,
    primary key (tenant, id)
);
create index apps_name on apps (tenant, name_key, id);
create index apps_app_id on apps (tenant, app_id);

create table app_assignments (
    tenant     text   not null,
    user_id    text   not null,
    app        text   not null,
    app_role   text   not null,
    id         text   not null,
    created_at bigint not null,
    primary key (tenant, user_id, app, app_role),
    foreign key (tenant, app) references apps (tenant, id),
    foreign key (tenant, user_id) references users (tenant, id)
);
create index app_assignments_app on app_assignments (tenant, app);

create table applications (
    tenant       text   not null references tenants (id),
    client_id    text   not null,
    id           text   not null,
    display_name text   not null,
    secret_hash  text   not null,
    permissions  text   not null, -- JSON
    created_at   bigint not null,
    primary key (tenant, client_id)
);

create table homes (
    tenant               text   not null references tenants (id),
    domain               text   not null,
    display_name         text   not null,
    allow_email_verified bigint not null,
    federated            bigint not null,
    sign_in              text   not null,
    version              bigint not null,
    primary key (tenant, domain)
);

create table home_accounts (
    tenant      text not null references tenants (id),
    domain      text not null,
    address_key text not null,
    primary key (tenant, domain, address_key)
);

create table invitations (
    tenant       text   not null,
    id           text   not null,
    user_id      text   not null,
    email_local  text   not null,
    email_domain text   not null,
    email_key    text   not null,
    display_name text   not null,
    user_type    text   not null,
    redirect_url text   not null,
    send_message bigint not null,
    message      text   not null,
    language     text   not null,
    cc_local     text   not null,
    cc_domain    text   not null,
    cc_name      text   not null,
    inviter_id   text   not null,
    inviter_name text   not null,
    inviter_mail text   not null,
    generation   bigint not null,
    jti          text   not null,
    sends        bigint not null,
    created_at   bigint not null,
    sent_at      bigint not null,
    expires_at   bigint not null,
    revoked_at   bigint not null,
    accepted_at  bigint not null,
    declined_at  bigint not null,
    version      bigint not null,
    primary key (tenant, id),
    foreign key (tenant, user_id) references users (tenant, id)
);
create index invitations_user on invitations (tenant, user_id, id);
create index invitations_email on invitations (tenant, email_key, id desc);
create index invitations_open on invitations (tenant, accepted_at, revoked_at, id, expires_at)
    where accepted_at = 0 and revoked_at = 0;

create table invitation_views (
    tenant        text   not null,
    invitation_id text   not null,
    views         bigint not null,
    automated     bigint not null,
    first_at      bigint not null,
    last_at       bigint not null,
    primary key (tenant, invitation_id),
    foreign key (tenant, invitation_id) references invitations (tenant, id)
);

create table audit_events (
    tenant        text   not null,
    id            text   not null,
    at            bigint not null,
    activity      text   not null,
    result        text   not null,
    reason        text   not null,
    actor         text   not null,
    actor_name    text   not null,
    target        text   not null,
    target_name   text   not null,
    invitation_id text   not null,
    correlation   text   not null,
    details       text   not null, -- JSON
    primary key (tenant, id)
);
create index audit_events_target on audit_events (tenant, target, id);
create index audit_events_invitation on audit_events (tenant, invitation_id, id);

-- The queue. due_at is the next attempt of an open row, the end of the lease of
-- one that is being sent, and null once the state is final: what is due is one
-- range of one index.
create table deliveries (
    tenant        text   not null,
    id            text   not null,
    invitation_id text   not null,
    user_id       text   not null,
    inviter       text   not null,
    limit_key     text   not null,
    to_local      text   not null,
    to_domain     text   not null,
    mail_from     text   not null,
    message_id    text   not null,
    state         text   not null,
    queued_at     bigint not null,
    due_at        bigint,
    owner         text   not null, -- of the lease; empty: none
    attempts      bigint not null,
    canceled      bigint not null, -- 1: withdrawn while it was being sent
    primary key (tenant, id),
    foreign key (tenant, invitation_id) references invitations (tenant, id)
);
create index deliveries_due on deliveries (due_at) where due_at is not null;
create index deliveries_invitation on deliveries (tenant, invitation_id, id);
create index deliveries_recipient on deliveries (tenant, limit_key, queued_at);
create index deliveries_domain on deliveries (tenant, to_domain, queued_at);
create index deliveries_inviter on deliveries (tenant, inviter, queued_at);
create index deliveries_tenant on deliveries (tenant, queued_at);

-- The bytes, apart from the row: they are large, read once, and dropped when
-- the delivery has been final for long enough.
create table delivery_bodies (
    tenant      text  not null,
    delivery_id text  not null,
    raw         bytea not null,
    primary key (tenant, delivery_id),
    foreign key (tenant, delivery_id) references deliveries (tenant, id)
);

create table delivery_attempts (
    tenant      text   not null,
    delivery_id text   not null,
    number      bigint not null,
    at          bigint not null,
    relay       text   not null,
    stage       text   not null,
    code        bigint not null,
    enhanced    text   not null,
    reply       text   not null,
    permanent   bigint not null,
    ambiguous   bigint not null,
    primary key (tenant, delivery_id, number),
    foreign key (tenant, delivery_id) references deliveries (tenant, id)
);

-- +goose Down
drop table delivery_attempts;
drop table delivery_bodies;
drop table deliveries;
drop table audit_events;
drop table invitation_views;
drop table invitations;
drop table home_accounts;
drop table homes;
drop table applications;
drop table app_assignments;
drop table apps;
drop table role_assignments;
drop table group_members;
drop table groups;
drop table user_addresses;
drop table users;
drop table policies;
drop table tenants;
