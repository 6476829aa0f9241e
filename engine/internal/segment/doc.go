// Package segment is the codec of one segment file, and the scan that decides,
// after a crash, what in it is part of the log. All of it is pure functions
// over byte slices: no file is opened here. docs/segment-format.md describes
// the same for readers in other languages; a test keeps the two in step.
//
// # Files
//
// A segment is a header, records, and, once it is sealed, an index block and a
// footer. All integers are little-endian, offsets count from the start of the
// structure, reserved bytes are zero. Until it is sealed the file is longer
// than its records; the rest is zero.
//
//	0        128                              index offset          end
//	+--------+--------+--------+- - -+---------+-------+--------+
//	| header | record | record |     |  seal   | index | footer |
//	|  128   |        |        |     |  mark   | block |  192   |
//	+--------+--------+--------+- - -+---------+-------+--------+
//
// Header, 128 bytes:
//
//	  0  u8[8]  magic "AOF2SEGM"
//	  8  u16    version = 3
//	 10  u16    header length = 128
//	 12  u32    flags
//	 16  u64    log id
//	 24  u64    segment id
//	 32  u64    base seq
//	 40  i64    created, ns
//	 48  u64    epoch
//	 56  u64    salt
//	 64  u64    allocated bytes, 0 = unknown
//	 72  u8[52] reserved
//	124  u32    CRC-32C of bytes 0..123
//
// Record, a multiple of 8 bytes: header of 48, subject, headers, payload, zero
// padding:
//
//	 0  u32    CRC-32C, seeded with the low half of the salt, of bytes 4..end
//	 4  u32    body length: subject + headers + payload, at least 1
//	 8  u64    seq
//	16  i64    timestamp, ns
//	24  u64    ext id, 0 = none
//	32  u32    unsynced
//	36  u32    headers length
//	40  u16    subject length
//	42  u16    flags
//	44  u32    CRC-32C, seeded alike, of bytes 4..43
//
// Body of a control record:
//
//	0  u8     kind: 1 durable, 2 close, 3 epoch, 4 seal
//	1  u8[7]  reserved; 0xff in the first mark of a pair, which goes on so
//	8  u64    epoch mark only: epoch
//
// Index block, a multiple of 8 bytes: a head of 8 (u8 version = 1, u8[7]
// reserved), then sections. A section is u32 kind, u32 length, its body, zero
// padding to 8; kind 0 or the end of the block ends them.
//
//	frames (1):     u32 count, u32 entry length = 24, entries:
//	                  0  u64 first seq
//	                  8  i64 maximum timestamp of all records before
//	                 16  u32 offset in the segment file
//	                 20  u32 flags, bit 0: holds a damaged range
//	dictionary (2): varint base seq, varint count, entries in byte order of
//	                their names: varint name length, name, varint record count,
//	                varint first seq - base seq, varint last seq - first seq,
//	                varint frame count, varint first frame, then for each
//	                further frame varint difference to the one before
//	filters (3):    for each frame varint length, Bloom filter
//
// Footer, 192 bytes:
//
//	  0  u8[8]  magic "AOF2FOOT"
//	  8  u16    version = 3
//	 10  u16    footer length = 192
//	 12  u32    flags: bit 0 sealed, 1 compacted, 2 partial, 3 flush failure
//	 16  u64    log id
//	 24  u64    segment id
//	 32  u64    salt
//	 40  u64    epoch
//	 48  u64    base seq
//	 56  u64    record count
//	 64  u64    first seq
//	 72  u64    last seq
//	 80  i64    first timestamp
//	 88  i64    maximum timestamp
//	 96  u64    first ext id
//	104  u64    last ext id
//	112  u64    durable bytes
//	120  u64    coordinator watermark: manifest ordinal
//	128  u64    CRC-64/NVME of the bytes before the index offset
//	136  u64    index offset
//	144  u64    index length
//	152  u64    CRC-64/NVME of the index block
//	160  u8[28] reserved
//	188  u32    CRC-32C of bytes 0..187
//
// # Concurrency and memory
//
// Everything here may be called from any number of goroutines at once. Decoded
// slices alias the bytes that they were decoded from. No decoder panics on any
// bytes, and each allocates at most a small multiple of them.
package segment
