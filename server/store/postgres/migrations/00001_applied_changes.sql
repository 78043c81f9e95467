-- What this engine needs beside the schema that all engines share.

-- +goose Up

-- One row for each change of the last minutes, written in its transaction: who
-- lost the connection during a commit finds out here, by trying again, whether
-- the change was stored. The id begins with the time, as UUIDv7 does.
create table applied_changes (
    id uuid not null primary key
);

-- +goose Down
drop table applied_changes;
