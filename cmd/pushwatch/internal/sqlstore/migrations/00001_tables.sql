-- One set of statements for SQLite and PostgreSQL: numbers are BIGINT, times are
-- BIGINT microseconds since 1970 in UTC, JSON is TEXT that no query looks into,
-- and every id is allotted by pushwatch.

-- +goose Up

-- Whose turn it is: a writer proves its ownership by the epoch it was given, in
-- the same statement that allots the numbers of its events and deliveries.
CREATE TABLE accounts (
    name          TEXT   NOT NULL PRIMARY KEY,
    shard         BIGINT NOT NULL UNIQUE, -- the account in the keys of its events and deliveries
    epoch         BIGINT NOT NULL,        -- of the newest owner; rises with each
    last_event    BIGINT NOT NULL,        -- the highest number allotted
    last_delivery BIGINT NOT NULL,        -- the highest id allotted
    learned       TEXT                    -- what its pushes have taught; JSON object
);

-- Every push that was ever registered and is not yet past its retention.
CREATE TABLE tasks (
    sdk_app_id       BIGINT NOT NULL,
    task_id          TEXT   NOT NULL,
    account          TEXT   NOT NULL,
    state            TEXT   NOT NULL,
    labels           TEXT   NOT NULL, -- JSON object, keys sorted
    expected_stop_at BIGINT,
    registered_at    BIGINT NOT NULL,
    ended_at         BIGINT,          -- null while it is live
    version          BIGINT NOT NULL, -- rises with every change but that of the two times below
    sequence         BIGINT NOT NULL, -- of its last event; goes on counting when it is watched anew
    push             TEXT,            -- JSON object
    error            TEXT,            -- JSON object
    last_observed_at BIGINT,
    last_polled_at   BIGINT,
    memory           TEXT   NOT NULL, -- JSON object
    removed_at       BIGINT,          -- hidden since then
    PRIMARY KEY (sdk_app_id, task_id)
);

-- What an owner loads at its start.
CREATE INDEX tasks_live ON tasks (account) WHERE ended_at IS NULL AND removed_at IS NULL;

-- The facts, in the order of their commits within an account. Numbers may be
-- missing; a number never appears below one that could be read before.
CREATE TABLE events (
    shard      BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    id         TEXT   NOT NULL UNIQUE,
    type       TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    sdk_app_id BIGINT,          -- null, with the two below, for an event of no task
    task_id    TEXT,
    sequence   BIGINT,
    at         BIGINT NOT NULL,
    body       TEXT   NOT NULL, -- frozen: sent as it stands here
    PRIMARY KEY (shard, number),
    UNIQUE (sdk_app_id, task_id, sequence)
);

-- The events that belong to no task are few among many: an owner reads them at
-- its start.
CREATE INDEX events_announced ON events (shard, number) WHERE sdk_app_id IS NULL;

-- One event on its way to one notifier.
CREATE TABLE deliveries (
    shard           BIGINT NOT NULL,
    id              BIGINT NOT NULL,
    event           BIGINT NOT NULL, -- its number within the shard
    notifier        TEXT   NOT NULL,
    state           TEXT   NOT NULL, -- pending, delivered or dead
    attempts        BIGINT NOT NULL,
    next_attempt_at BIGINT,          -- null: at once, or never again
    last_error      TEXT   NOT NULL,
    log             TEXT   NOT NULL, -- a line of JSON for each attempt
    created_at      BIGINT NOT NULL,
    settled_at      BIGINT,
    PRIMARY KEY (shard, id)
);

CREATE INDEX deliveries_pending ON deliveries (shard, notifier, id) WHERE state = 'pending';
CREATE INDEX deliveries_dead ON deliveries (notifier, shard, id) WHERE state = 'dead';
CREATE INDEX deliveries_event ON deliveries (shard, event);

-- +goose Down
DROP TABLE deliveries;
DROP TABLE events;
DROP TABLE tasks;
DROP TABLE accounts;
