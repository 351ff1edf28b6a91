// Package devstack starts the backends that anteroom needs — Kafka, Redis and
// Postgres — on the machine at hand: inside this process where that is
// possible, as child processes where it is not. It serves demo, dev and tests;
// nothing that runs in production imports it.
//
// What always holds:
//   - every backend listens on the loopback interface only, in its real
//     protocol, so that the adapters which speak to it are the ones that run in
//     production;
//   - the context given to a Start or Restart bounds the starting, never the
//     life of what was started; that ends with Close;
//   - Close ends a backend and removes what this package made for it: a
//     temporary folder is removed, a folder that the caller named is kept;
//   - Kill, Stop and Restart keep port and data, so that a test can take a
//     backend away and bring it back;
//   - a child process dies with this one, even when this one is killed (on
//     Linux; elsewhere only an orderly end takes the children along), unless it
//     was started Detached;
//   - a child has a process group of its own, so ^C in a terminal reaches
//     anteroom first, which then ends its children in order.
//
// Each backend value owns the goroutines behind it; they end with Close (and,
// for a child process, with the child). Methods may be called from several
// goroutines.
package devstack
