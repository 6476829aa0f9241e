// Package architecture has no code of its own: its tests read the source of the
// whole module and hold it to the rules that keep the project easy to change.
//
//   - Packages import in one direction only: cmd, bridge, engine, then
//     engine/internal/tier over engine/internal/segment, beside them manifest,
//     and internal at the bottom. manifest does not know engine; segment and
//     manifest do not know each other.
//   - NATS is imported in bridge only, cobra in cmd, gocloud in internal/fileblob
//     and engine/internal/bucket, "C" in cshared, unsafe in internal/vfs and
//     cshared; memory is mapped in these two only.
//   - Files are opened, made, renamed and removed in internal/vfs, and for what
//     is the user's own (configuration, input, output) in cmd.
//   - No file is over 600 lines, no function over 70.
//   - Every package says what it is for, checks its tests for goroutines that
//     were left behind, and waits in tests for conditions instead of sleeping.
//
// Source is parsed, not built, so that every platform's files are read on every
// platform. Each rule also runs on a small tree under testdata in which it is
// broken on the lines that say so, and must find these lines and no others.
package architecture
