-- +goose Up

-- When the live tasks of each account were last polled and observed, all in one text,
-- since that is written often. A task's own two times are those of its last change.
CREATE TABLE checkpoints (
    shard BIGINT NOT NULL PRIMARY KEY,
    times TEXT   NOT NULL -- see watcher.Checkpoint
);

-- +goose Down
DROP TABLE checkpoints;
