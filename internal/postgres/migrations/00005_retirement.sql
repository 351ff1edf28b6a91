-- +goose Up

-- When a sale left the core's memory; 0 while it is in it. An owner restores no
-- requests of one that has: the index requests_sale finds the others.
ALTER TABLE sales
    ADD COLUMN retired_at bigint NOT NULL DEFAULT 0;
