-- +goose Up

-- What batches have to be published on the topic of decisions. A row is written
-- with its batch, and removed once it is published.
CREATE TABLE outbox (
    partition   integer NOT NULL,
    from_offset bigint  NOT NULL CHECK (from_offset >= 0),
    to_offset   bigint  NOT NULL CHECK (to_offset > from_offset), -- the watermark after the batch
    decisions   bytea   NOT NULL,
    PRIMARY KEY (partition, from_offset)
) WITH (
    -- It is empty most of the time, and every batch passes through it.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_threshold = -1
);

-- It comes compressed where that pays.
ALTER TABLE outbox ALTER COLUMN decisions SET STORAGE EXTERNAL;

-- Webhooks whose first delivery failed: to be tried again at next_attempt, or
-- dead. Times are milliseconds since the Unix epoch.
CREATE TABLE webhooks (
    id           text COLLATE "C" PRIMARY KEY, -- of the decision
    type         text    NOT NULL,
    url          text    NOT NULL, -- that it was last sent to, without a password
    body         bytea   NOT NULL,
    attempts     integer NOT NULL CHECK (attempts >= 0),
    last_status  integer NOT NULL, -- of HTTP; 0: no answer
    last_error   text    NOT NULL,
    failed_at    bigint  NOT NULL,
    next_attempt bigint  NOT NULL,
    dead         boolean NOT NULL
);

CREATE INDEX webhooks_due ON webhooks (next_attempt) WHERE NOT dead;
CREATE INDEX webhooks_dead ON webhooks (failed_at, id) WHERE dead;
