// Package tier is the codec of a warm or cold object: a sealed segment file as
// a seekable zstd stream. Whole or in part, it gives back the bytes of the
// segment and nothing else. docs/segment-format.md has the bytes, under "Warm
// and cold object".
//
//	0                                                        object bytes
//	+--------------------+---------+- - -+----------------+------------+
//	| header, records    | records |     | index, footer  | seek table |
//	| frame 0            | frame 1 |     | index frame    |            |
//	+--------------------+---------+- - -+----------------+------------+
//	                                     |<------- tail bytes -------->|
//
// A record frame holds the records of one entry of the segment's index, so a
// record is one frame away. The tail is what a reader needs before that: one
// range read.
//
// # Trust
//
// The seek table has no checksum of its own. Its sizes are bounded before they
// are used, must add up to the object, and must agree with the index, which has
// one. A frame is decoded into a buffer of exactly its size, after its own
// header has named the same size. Each frame's checksum is compared twice: with
// its content, and with the one in the seek table, so that a frame in the place
// of another is noticed. Records carry their own checksums besides; verifying
// those is the business of whoever reads them.
//
// An object that fails this is no good copy. [SalvageObject] reads what is left of
// it, by what its frames and records say of themselves.
//
// # Memory
//
// Writing and restoring hold one frame, plain and compressed, and the index. A
// frame is 128 KiB and the rest of its last record; a record, or a range that
// recovery found damaged, may be as long as the segment. An [Object] holds the
// decoded index and 24 bytes a frame.
package tier
