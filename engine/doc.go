// Package engine is the event log: it appends records to segment files, syncs
// them in groups, seals full segments, recovers after a crash and reads records
// back. It knows nothing of NATS.
//
// # Roles
//
// Appenders encode records into the open commit buffer under Log.mu: no system
// call, no allocation and no channel operation a record. One committer a log
// takes the buffer, writes it with one pwrite, publishes the written watermark,
// syncs once for everybody who waits, and publishes the durable watermark. One
// maintainer a log, alive only while there is something to do, prepares the
// next segment file and seals full ones. Readers look at an immutable list of
// segments and never past the watermark that they were opened for.
//
// # Tiers
//
// One coordinator an engine shows the planner what is sealed and runs the moves
// that it returns, each in a goroutine of its log, which Close ends and waits
// for. It sleeps until it is poked: by a seal, by the end of a move, by a
// segment that finds no room, when a log is opened, or when a failed move is due again.
// What a move did is durable in the manifest before anything is dropped on the
// strength of it. Readers take the nearest copy that is believed to be good, go
// on in another where it is not, and tell the coordinator.
//
// # Lock order
//
// Engine.lifecycle before coordinator.mu before Engine.mu before Log.mu before
// segmentFile.mapped. journal.writing, reserve.changing, diskRoom.allocating,
// Log.claiming, subjectTracker.loading and subjectTracker.learning serialise
// I/O, are held over it, and are taken before Log.mu, never under it: claiming
// before writing before changing. maintainer.mu comes before Log.mu too.
// objectCache.mu, diskRoom.mu, subjectTracker.keeping and Log.emitting are taken
// last: nothing else is taken under them. No other lock is held over I/O, with
// the exception of segmentFile.mapped, which is held while a file is mapped or
// unmapped. Log.segments, the manifest's state and the watermarks are published
// through atomics and read without a lock. The list of segments and the manifest
// are read at different moments: who uses both takes a segment that only one of
// them has as not yet, or no longer, there.
//
// # Crash safety
//
// docs/segment-format.md states the rules; recovery.go carries them out. The
// crash simulator in this package runs the production committer, maintainer and
// recovery one step at a time on a disk that loses power.
package engine
