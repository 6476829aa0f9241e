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
// # Lock order
//
// Engine.mu before Log.mu before segmentFile.mapped. None of them is held over
// I/O, with the exception of segmentFile.mapped, which is held while a file is
// mapped or unmapped. Log.segments and the watermarks are published through
// atomics and read without a lock.
//
// # Crash safety
//
// docs/segment-format.md states the rules; recovery.go carries them out. The
// crash simulator in this package runs the production committer, maintainer and
// recovery one step at a time on a disk that loses power.
package engine
