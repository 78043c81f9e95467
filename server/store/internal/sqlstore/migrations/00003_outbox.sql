-- Mail whose fate somebody has to look at is found by its state. What is queued,
-- sent and delivered, as nearly all is, costs this index nothing.

-- +goose Up
create index deliveries_odd on deliveries (tenant, state, id) where state not in ('queued', 'sending', 'delivered');

-- +goose Down
drop index deliveries_odd;
