-- +goose Up

-- A delivery's position is its id at first. With each replay it gets a new one from
-- the same count, by which the account's owner finds it. Its attempts count from
-- then.
ALTER TABLE deliveries ADD COLUMN position BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN replayed_at BIGINT;
UPDATE deliveries SET position = id;

DROP INDEX deliveries_pending;
CREATE INDEX deliveries_pending ON deliveries (shard, notifier, position) WHERE state = 'pending';
CREATE INDEX deliveries_replayed ON deliveries (shard, position) WHERE state = 'pending' AND replayed_at IS NOT NULL;
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries (shard, id, notifier) WHERE state = 'dead';

-- What retention looks for.
CREATE INDEX deliveries_delivered ON deliveries (settled_at) WHERE state = 'delivered';
CREATE INDEX events_at ON events (at);
CREATE INDEX tasks_over ON tasks (COALESCE(removed_at, ended_at)) WHERE ended_at IS NOT NULL OR removed_at IS NOT NULL;

-- What is known of notifiers beyond the settings. One without a row is active.
CREATE TABLE notifiers (
    name         TEXT   NOT NULL PRIMARY KEY,
    version      BIGINT NOT NULL, -- rises with every change
    state        TEXT   NOT NULL, -- active, paused or gone
    paused_until BIGINT,          -- as the notifier itself has asked
    reason       TEXT   NOT NULL,
    changed_at   BIGINT NOT NULL
);

-- +goose Down
DROP TABLE notifiers;
DROP INDEX tasks_over;
DROP INDEX events_at;
DROP INDEX deliveries_delivered;
DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries (notifier, shard, id) WHERE state = 'dead';
DROP INDEX deliveries_replayed;
DROP INDEX deliveries_pending;
CREATE INDEX deliveries_pending ON deliveries (shard, notifier, id) WHERE state = 'pending';
ALTER TABLE deliveries DROP COLUMN replayed_at;
ALTER TABLE deliveries DROP COLUMN position;
