-- +goose Up

-- The events that belong to no task are few among many: an owner reads them at
-- its start.
CREATE INDEX events_announced ON events (shard, number) WHERE sdk_app_id IS NULL;

-- +goose Down
DROP INDEX events_announced;
