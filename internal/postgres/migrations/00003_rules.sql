-- +goose Up

-- What the second rules of a sale bring. 0 stands where a sale of the first
-- rules, or a request that was never reserved, has nothing.

ALTER TABLE sales
    ADD COLUMN max_hold_seconds  bigint NOT NULL DEFAULT 0 CHECK (max_hold_seconds >= 0),
    ADD COLUMN waitlist_capacity bigint NOT NULL DEFAULT 0 CHECK (waitlist_capacity >= 0),
    ADD COLUMN opens_at          bigint NOT NULL DEFAULT 0,
    ADD COLUMN closes_at         bigint NOT NULL DEFAULT 0,
    ADD COLUMN admit_per_second  bigint NOT NULL DEFAULT 0 CHECK (admit_per_second >= 0),
    ADD COLUMN max_active_holds  bigint NOT NULL DEFAULT 0 CHECK (max_active_holds >= 0),
    ADD COLUMN checkout_url      text   NOT NULL DEFAULT '',
    ADD COLUMN waitlisted        bigint NOT NULL DEFAULT 0 CHECK (waitlisted >= 0),
    ADD COLUMN parked            bigint NOT NULL DEFAULT 0 CHECK (parked >= 0),
    ADD COLUMN opened_at         bigint NOT NULL DEFAULT 0,
    ADD COLUMN closed_at         bigint NOT NULL DEFAULT 0,
    ADD COLUMN pauses            jsonb  NOT NULL DEFAULT '[]',
    ADD COLUMN pace              jsonb  NOT NULL DEFAULT '{}';

ALTER TABLE requests
    ADD COLUMN granted  bigint NOT NULL DEFAULT 0,
    ADD COLUMN hold_for bigint NOT NULL DEFAULT 0 CHECK (hold_for >= 0);

ALTER TABLE requests
    ADD CONSTRAINT requests_reserved CHECK (state <> 'reserved' OR (sale >= 0 AND granted > 0));

-- Those that wait: boards read their order.
CREATE INDEX requests_waiting ON requests (partition, sale, request) WHERE state IN ('waitlisted', 'reserved');

-- Operators page through a sale's requests.
CREATE INDEX requests_sale ON requests (partition, sale, request);
