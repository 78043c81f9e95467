-- What this engine needs beside the schema that all engines share.

-- +goose Up

-- One row for each change of the last minutes, written in its transaction: who
-- lost the connection during a commit finds out here, by trying again, whether
-- the change was stored. The id begins with the time, as UUIDv7 does.
create table applied_changes (
    id uuid not null primary key
) with (autovacuum_vacuum_scale_factor = 0.05);

-- A row of the queue is replaced twice before its mail is out. The usual fifth
-- of a large table would leave millions of dead entries where workers look.
alter table deliveries set (autovacuum_vacuum_scale_factor = 0.01);

-- +goose Down
drop table applied_changes;
alter table if exists deliveries reset (autovacuum_vacuum_scale_factor);
