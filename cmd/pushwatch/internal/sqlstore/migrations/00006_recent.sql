-- +goose Up

-- The newest events first, as people look at them. It has their whole order, and the
-- type, so that rows which do not match are not read.
DROP INDEX events_at;
CREATE INDEX events_at ON events (at, shard, number, type);

-- +goose Down
DROP INDEX events_at;
CREATE INDEX events_at ON events (at);
