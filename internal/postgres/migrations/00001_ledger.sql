-- +goose Up

-- Offsets, counts and times are bigint, because that is what a record holds:
-- nothing that is in the log can overflow a column. Times are milliseconds
-- since the Unix epoch. -1 stands where there is no offset; no column is NULL.
-- No foreign keys: each would lock the partition's row once more for each row
-- written, and the fence orders all writers already.

CREATE TABLE partitions (
    partition    integer PRIMARY KEY CHECK (partition >= 0),
    topic        bytea   NOT NULL CHECK (octet_length(topic) = 16), -- the log that this is a fold of
    epoch        bigint  NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    next_offset  bigint  NOT NULL DEFAULT 0 CHECK (next_offset >= 0), -- the watermark
    log_time     bigint  NOT NULL DEFAULT 0,
    schema       bigint  NOT NULL DEFAULT 0 CHECK (schema >= 0),
    malformed    bigint  NOT NULL DEFAULT 0 CHECK (malformed >= 0),
    last_digest  bytea   NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(last_digest) = 32),
    oldest_start bigint  NOT NULL DEFAULT 0, -- starts below it count no more
    rebuilding   boolean NOT NULL DEFAULT false,
    stopped      text    NOT NULL DEFAULT '', -- why its owner cannot go on
    owner        text    NOT NULL DEFAULT ''  -- who claimed it last, for people to read
) WITH (fillfactor = 10); -- one small row, rewritten with every batch

-- A product belongs to its partition for ever.
CREATE TABLE products (
    product   text COLLATE "C" PRIMARY KEY,
    partition integer NOT NULL
);

CREATE TABLE sales (
    partition                integer NOT NULL,
    sale                     bigint  NOT NULL CHECK (sale >= 0),
    product                  text COLLATE "C" NOT NULL,
    rules                    bigint  NOT NULL,
    buyer_key                text    NOT NULL,
    quantity                 bigint  NOT NULL CHECK (quantity > 0),
    hold_seconds             bigint  NOT NULL CHECK (hold_seconds > 0),
    per_buyer_limit          bigint  NOT NULL CHECK (per_buyer_limit > 0),
    max_quantity_per_request bigint  NOT NULL CHECK (max_quantity_per_request > 0),
    policy                   text    NOT NULL CHECK (policy IN ('waitlist', 'queue', 'reject')),
    stage                    text    NOT NULL CHECK (stage IN ('scheduled', 'open', 'paused', 'closed')),
    created_at               bigint  NOT NULL,
    version                  bigint  NOT NULL CHECK (version > 0),
    revision                 bigint  NOT NULL,
    available                bigint  NOT NULL CHECK (available >= 0),
    reserved                 bigint  NOT NULL CHECK (reserved >= 0),
    held                     bigint  NOT NULL CHECK (held >= 0),
    confirmed                bigint  NOT NULL CHECK (confirmed >= 0),
    requests                 bigint  NOT NULL CHECK (requests >= 0),
    sold_out                 bigint  NOT NULL CHECK (sold_out >= 0),
    rejected                 bigint  NOT NULL CHECK (rejected >= 0),
    defaults                 jsonb   NOT NULL,
    PRIMARY KEY (partition, sale),
    CONSTRAINT sales_revision CHECK (revision >= sale),
    CONSTRAINT sales_units_add_up CHECK (quantity = available + reserved + held + confirmed)
) WITH (fillfactor = 50);

-- One open sale per product. The partition is part of the key, because only
-- within one can the core know: a record that was appended to the wrong
-- partition must not stop that one for ever.
CREATE UNIQUE INDEX sales_open ON sales (partition, product) WHERE stage <> 'closed';

CREATE TABLE requests (
    partition   integer NOT NULL,
    request     bigint  NOT NULL CHECK (request >= 0),
    sale        bigint  NOT NULL CHECK (sale >= -1),
    product     text COLLATE "C" NOT NULL,
    buyer       text COLLATE "C" NOT NULL,
    quantity    bigint  NOT NULL,
    accepted_at bigint  NOT NULL,
    state       text COLLATE "C" NOT NULL CHECK (state IN ('queued', 'held', 'reserved', 'waitlisted', 'sold_out',
                    'rejected', 'released', 'confirmed', 'expired', 'returned')),
    reason      text COLLATE "C" NOT NULL,
    first       bigint  NOT NULL CHECK (first >= -1),
    held_since  bigint  NOT NULL CHECK (held_since >= -1),
    payment     text    NOT NULL,
    cause       bigint  NOT NULL,
    decided_at  bigint  NOT NULL,
    PRIMARY KEY (partition, request),
    CONSTRAINT requests_cause CHECK (cause >= request),
    CONSTRAINT requests_hold CHECK (state NOT IN ('held', 'confirmed') OR (sale >= 0 AND held_since >= 0))
);

-- Boards heal by it: what was caused at or after an offset.
CREATE INDEX requests_cause ON requests (partition, cause);

CREATE TABLE results (
    partition  integer NOT NULL,
    command    bigint  NOT NULL CHECK (command >= 0),
    product    text    NOT NULL,
    sale       bigint  NOT NULL CHECK (sale >= -1),
    request    bigint  NOT NULL, -- as the command named it, which can be any number
    code       text    NOT NULL,
    decided_at bigint  NOT NULL,
    PRIMARY KEY (partition, command)
);

CREATE TABLE starts (
    partition integer NOT NULL,
    below     bigint  NOT NULL,
    at        bigint  NOT NULL,
    cause     bigint  NOT NULL,
    PRIMARY KEY (partition, below)
);
