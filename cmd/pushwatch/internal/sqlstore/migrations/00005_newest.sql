-- +goose Up

-- The newest tasks first, as people look at them. It has the columns that are
-- searched by, so that rows which do not match are not read.
CREATE INDEX tasks_newest ON tasks (registered_at, sdk_app_id, task_id, state) WHERE removed_at IS NULL;

-- +goose Down
DROP INDEX tasks_newest;
