-- +goose Up

-- A chained SHA-256 over a partition's records and one over its decisions, from
-- chain_start on, where their heads are zeros: a ledger that is older than they
-- are has none of what it had decided by then.
ALTER TABLE partitions
    ADD COLUMN record_chain   bytea  NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(record_chain) = 32),
    ADD COLUMN decision_chain bytea  NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (octet_length(decision_chain) = 32),
    ADD COLUMN chain_start    bigint NOT NULL DEFAULT 0 CHECK (chain_start >= 0);

UPDATE partitions SET chain_start = next_offset;

-- The chains' heads after each batch, and of the first one a mark after each
-- record, by which an audit finds the record at which a log departs.
CREATE TABLE batches (
    partition      integer NOT NULL,
    from_offset    bigint  NOT NULL CHECK (from_offset >= 0),
    to_offset      bigint  NOT NULL CHECK (to_offset > from_offset),
    record_chain   bytea   NOT NULL CHECK (octet_length(record_chain) = 32),
    decision_chain bytea   NOT NULL CHECK (octet_length(decision_chain) = 32),
    marks          bytea   NOT NULL, -- 4 bytes each
    PRIMARY KEY (partition, from_offset)
);

-- Nothing is gained by compressing digests.
ALTER TABLE batches ALTER COLUMN marks SET STORAGE EXTERNAL;
