-- +goose Up

-- The processes that share a PostgreSQL database. Their times are the database's
-- own, so that no two clocks are ever compared.
CREATE TABLE members (
    name     TEXT   NOT NULL PRIMARY KEY,
    since    BIGINT NOT NULL,
    beat_at  BIGINT NOT NULL, -- it lived then
    accounts TEXT   NOT NULL, -- those that its settings name; JSON array
    status   TEXT             -- of those that it owns; JSON array
);

-- The member that the account belongs to; null: nobody has it. With one process on
-- the database it stays null.
ALTER TABLE accounts ADD COLUMN owner TEXT;

-- What is written about an account's tasks by a process that does not own it, for
-- the owner to read.
ALTER TABLE accounts ADD COLUMN last_note BIGINT NOT NULL DEFAULT 0; -- the highest number allotted
CREATE TABLE notes (
    shard      BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    sdk_app_id BIGINT NOT NULL,
    task_id    TEXT   NOT NULL,
    urgent     BIGINT NOT NULL, -- 1: to be polled soon
    PRIMARY KEY (shard, number)
);

-- +goose Down
DROP TABLE notes;
ALTER TABLE accounts DROP COLUMN last_note;
ALTER TABLE accounts DROP COLUMN owner;
DROP TABLE members;
