-- +goose Up

-- The events of one type, which may be few among very many.
CREATE INDEX events_type ON events (shard, type, number);

-- +goose Down
DROP INDEX events_type;
