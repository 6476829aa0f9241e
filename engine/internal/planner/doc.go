// Package planner decides which segments move between the tiers, and nothing
// else: [Plan] is a pure function of the time, the state and the budgets. It
// does no I/O, reads no clock, starts nothing, keeps nothing, and gives the
// same actions for the same input. The coordinator carries them out and comes
// back with a new state; the simulator in the tests does the same a million
// times a minute.
//
// # Rules
//
// A copy counts only once it was verified, and a cold one only while a bucket
// is configured. A segment makes one move at a time.
//
//   - Compress: sealed segments of which no warm or cold copy counts, if the
//     warm budget has room for the most that the object can take.
//   - Upload: warm copies that have no cold one, while the bucket answers.
//   - Evict hot: while hot use is over its low watermark, copies that count
//     elsewhere, the least recently used first.
//   - Evict warm: while warm use is over its low watermark, or the next
//     compression waits for room, copies that are cold, the least recently used
//     first. Without a bucket warm is the last tier and keeps everything.
//   - A disk that is full before the budgets are: by the same rules until what it
//     lacks is freed, below the low watermarks too. Hot copies go first, because
//     what stays warm costs no request to read; warm ones go for what all hot
//     copies that may go do not free.
//
// Nothing pinned is evicted, and nothing that is the last copy. Unsealed
// segments are not in the state at all. When the bucket does not answer, copies
// that are cold already may still leave the disk, to make room for those that
// are not; when no room is left, compression stops, then the hot budget fills
// and the engine refuses appends. Nothing is dropped.
//
// # Order
//
// Compressions and uploads of a log go oldest first, by the time of the seal or,
// after a failure, by the time from which they may be tried again: what fails
// for ever queues behind what waits. Logs share the workers: the next move is
// that of the log with the fewest moves of that kind under way, among equals of
// the one whose last began the longest ago, and then of the oldest segment. So
// no log waits for the backlog of another, and one alone has all the workers.
//
// # Watermarks
//
// The low watermark is where eviction starts and where it stops. The room
// between it and the budget is for what is written next: in the hot tier the
// successors of the unsealed segments, in the warm tier the compressions under
// way. The engine admits up to the budget; see [NewBudgets] for the shares.
package planner
