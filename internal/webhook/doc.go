// Package webhook is the role that tells shops what was decided, by HTTP and
// the Standard Webhooks specification: it reads the topic of decisions and posts
// those that a shop wants to hear of, signed.
//
// A message is tried once as it is read. One that fails is kept in a Store, and
// tried again after times that grow, until it is delivered or dead; what the
// dead ones were, an operator can see, and have tried again. So a message that
// cannot be delivered holds up no other. While too many wait the topic is read
// no further, and they wait there.
//
// What always holds:
//   - a message is delivered at least once, or dead: the group's place in the
//     topic passes it only when it is delivered or kept. Its webhook-id is the
//     decision's id, the same however often it comes;
//   - messages come in no promised order: their data has log, cause and index,
//     by which a shop can tell what is older;
//   - no redirect is followed, and nothing is sent to an address that is not
//     public, unless allowed. The address is looked at when it is dialled, so
//     no name can resolve to another one in between;
//   - it never stands in a commit's way: it reads what is committed and
//     published already.
//
// Goroutines: [Dispatcher.Run] owns all of them, and ends after them.
//
// The package imports no adapter, no driver and no other role.
package webhook
