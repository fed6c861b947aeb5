-- +goose Up

-- Every attempt of a delivery leaves its reason, those too that do not count against
-- it: the last few of these, so that a row does not grow with an outage.
ALTER TABLE deliveries ADD COLUMN uncounted TEXT NOT NULL DEFAULT ''; -- a line of JSON for each
ALTER TABLE deliveries ADD COLUMN requests BIGINT NOT NULL DEFAULT 0; -- sent, those of such attempts too
UPDATE deliveries SET requests = attempts WHERE state = 'pending' AND attempts > 0;

-- A notifier that does not answer is down, and probed now and then.
ALTER TABLE notifiers ADD COLUMN down_since BIGINT;
ALTER TABLE notifiers ADD COLUMN next_probe_at BIGINT;

-- +goose Down
ALTER TABLE notifiers DROP COLUMN next_probe_at;
ALTER TABLE notifiers DROP COLUMN down_since;
ALTER TABLE deliveries DROP COLUMN requests;
ALTER TABLE deliveries DROP COLUMN uncounted;
