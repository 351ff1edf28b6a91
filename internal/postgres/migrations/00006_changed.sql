-- +goose NO TRANSACTION
-- +goose Up

-- A request is caused by its own record until a later one changes it. So those
-- that an offset or a later one caused are found by the primary key, but for the
-- ones that were changed: only these are worth an index, which a crowd's rows
-- then need not be put into. Made without a lock, because the table can be large.
DROP INDEX IF EXISTS requests_changed; -- what an attempt that broke off left is of no use
CREATE INDEX CONCURRENTLY requests_changed ON requests (partition, cause, request) WHERE cause > request;
DROP INDEX IF EXISTS requests_cause;
