// Package manifest is the binary log of what happens to the segments of one log:
// opened, sealed, compressed, uploaded, evicted, trimmed. Replaying it gives the
// [State] of the log's tiers. docs/manifest-format.md has the bytes.
//
// The package knows records, chunks and snapshots, and their files. It does not
// know segments or buckets: whoever moves bytes appends a record, commits it and
// only then acts.
//
// # Protocol
//
// One [Writer] at a time has a manifest directory open; the owner of the log
// keeps other processes out. Append buffers, Commit writes and syncs, and what a
// commit made durable is in State. Records lie in chunks: files of fixed size
// that are made before they are needed, so that a full disk does not stop the
// manifest. A chunk gets its name after the chunk before it is synced to its last
// record, and its first record after that one is sealed; so everything in a chunk
// that is not the last was durable, and a last one that is sealed has lost what
// followed it.
//
// Opening never appends behind bytes that it had to cut: a new chunk follows and the
// old one is sealed at the cut. Only behind a pair of LogClosed records, with
// nothing but zeros after it, is a chunk continued; or if it has no record yet.
//
// A failed write or sync poisons the Writer. Damage is never skipped silently
// and never deleted: see [Recovery].
package manifest
