package manifest

// This file damages every byte of a manifest and cuts its files at every length:
// what is lost is reported, and is no more than what was touched.

import (
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/aof-nats/aof-nats/internal/vfs"
)

// copyDirectory copies the manifest of a disk to a new one, without some files.
func copyDirectory(t testing.TB, from *vfs.Mem, without ...string) *vfs.Mem {
	t.Helper()
	to := vfs.NewMem(1)
	must(t, to.MkdirAll(testDir))
	entries, err := from.ReadDir(testDir)
	must(t, err)
	for _, entry := range entries {
		if !slices.Contains(without, entry.Name()) {
			replaceFile(t, to, entry.Name(), from.Live(filepath.Join(testDir, entry.Name())))
		}
	}
	return to
}

func replaceFile(t testing.TB, disk *vfs.Mem, name string, content []byte) {
	t.Helper()
	path := filepath.Join(testDir, name)
	_ = disk.Remove(path) // if it is there
	file, err := disk.Create(path)
	must(t, err)
	must(t, writeAll(file, content, 0))
	must(t, file.Close())
}

// extents are the places of a chunk's records, by ordinal.
func extents(t testing.TB, disk *vfs.Mem, index uint64) map[uint64][2]int {
	t.Helper()
	s, err := scanFile(disk, chunkPath(testDir, index))
	must(t, err)
	places := map[uint64][2]int{}
	for _, item := range s.items {
		if item.cause == nil {
			places[item.ordinal] = [2]int{item.offset, item.end}
		}
	}
	return places
}

// replayed is what a replay of everything applies: ordinals, and the report.
func replayed(t testing.TB, disk *vfs.Mem) (ordinals map[uint64]bool, recovery *Recovery, next uint64) {
	t.Helper()
	ordinals = map[uint64]bool{}
	r := &replay{fsys: disk, dir: testDir, logID: testLogID, before: func(ordinal uint64) { ordinals[ordinal] = true }}
	must(t, r.run())
	return ordinals, r.recovery, r.next
}

func TestEveryFlippedByteOfAChunkIsReportedAndCostsOneRecord(t *testing.T) {
	t.Parallel()
	disk := copyDirectory(t, exampleDirectory(t), SnapshotName(1), SnapshotName(2))
	_, _, end := replayed(t, disk)
	for index := uint64(1); index <= 2; index++ {
		places := extents(t, disk, index)
		image := disk.Live(chunkPath(testDir, index))
		used := usedBytes(image)
		file, err := disk.OpenReadWrite(chunkPath(testDir, index))
		must(t, err)
		for at := range used {
			must(t, writeAll(file, []byte{image[at] ^ 1<<(at%8)}, int64(at)))
			got, recovery, next := replayed(t, disk)
			lost := recovery.lost()
			for ordinal := uint64(1); ordinal < end; ordinal++ {
				place, here := places[ordinal]
				touched := here && place[0] <= at && at < place[1]
				if got[ordinal] == touched || touched != lost[ordinal] {
					t.Errorf("chunk %d, byte %d: record %d at %v: applied %v, reported lost %v", index, at, ordinal, place, got[ordinal], lost[ordinal])
				}
			}
			if len(recovery.Damage) == 0 || next < end {
				t.Errorf("chunk %d, byte %d: damage %v, next %d", index, at, recovery.Damage, next)
			}
			must(t, writeAll(file, image[at:at+1], int64(at)))
			if t.Failed() {
				t.FailNow()
			}
		}
		must(t, file.Close())
	}
}

// lost are the ordinals that damage is reported to cost.
func (r *Recovery) lost() map[uint64]bool {
	lost := map[uint64]bool{}
	for _, damage := range r.Damage {
		for ordinal := damage.FirstOrdinal; ordinal <= damage.LastOrdinal; ordinal++ {
			lost[ordinal] = true
		}
	}
	return lost
}

func TestAChunkCutAtEveryLengthIsReported(t *testing.T) {
	t.Parallel()
	full := copyDirectory(t, exampleDirectory(t), SnapshotName(1), SnapshotName(2))
	_, _, end := replayed(t, full)
	for index := uint64(1); index <= 2; index++ {
		places := extents(t, full, index)
		image := full.Live(chunkPath(testDir, index))
		for length := range usedBytes(image) {
			disk := copyDirectory(t, full)
			replaceFile(t, disk, ChunkName(index), image[:length])
			got, recovery, next := replayed(t, disk)
			lost := recovery.lost()
			for ordinal := uint64(1); ordinal < end; ordinal++ {
				place, here := places[ordinal]
				if whole := !here || place[1] <= length; got[ordinal] != whole || !whole && !lost[ordinal] && length > chunkHeaderBytes {
					t.Fatalf("chunk %d cut to %d: record %d at %v: applied %v, reported lost %v", index, length, ordinal, place, got[ordinal], lost[ordinal])
				}
			}
			if len(recovery.Damage) == 0 || next < end && length > chunkHeaderBytes {
				t.Fatalf("chunk %d cut to %d: damage %v, next %d of %d", index, length, recovery.Damage, next, end)
			}
		}
	}
}

func TestADamagedSnapshotIsReportedAndTheOlderOneTaken(t *testing.T) {
	t.Parallel()
	disk := exampleDirectory(t)
	want, _, err := Load(disk, testDir, testLogID)
	must(t, err)
	path := snapshotPath(testDir, 2)
	image := disk.Live(path)
	check := func(what string, at int) {
		t.Helper()
		r := &replay{fsys: disk, dir: testDir, logID: testLogID, provenOnly: true}
		must(t, r.run())
		state, recovery := r.state.publish(), r.recovery
		if len(recovery.Damage) != 1 || recovery.SnapshotID != 1 || !isDamage(recovery.Damage[0]) || recovery.Damage[0].Hint() == "" {
			t.Fatalf("%s %d: snapshot %d, damage %v", what, at, recovery.SnapshotID, recovery.Damage)
		}
		if err := compareStates(state, want); err != nil {
			t.Fatalf("%s %d: %v", what, at, err)
		}
	}
	for at := range image {
		file, err := disk.OpenReadWrite(path)
		must(t, err)
		must(t, writeAll(file, []byte{image[at] ^ 1<<(at%8)}, int64(at)))
		check("byte", at)
		must(t, writeAll(file, image[at:at+1], int64(at)))
		must(t, file.Close())
	}
	for length := range image {
		replaceFile(t, disk, SnapshotName(2), image[:length])
		check("length", length)
	}
	replaceFile(t, disk, SnapshotName(2), append(slices.Clone(image), 0))
	check("length", len(image)+1)
}

// A disk that does not give the newest snapshot refuses no open, if the older one
// and the chunks behind it are there: they say the same.
func TestASnapshotThatCannotBeReadIsDoneWithout(t *testing.T) {
	t.Parallel()
	disk := exampleDirectory(t)
	want, _, err := Load(disk, testDir, testLogID)
	must(t, err)
	faulty := vfs.NewFaulty(disk)
	faulty.Add(vfs.Rule{Op: vfs.OpRead, PathPattern: SnapshotName(2), Err: syscall.EIO})
	w, err := Open(faulty, testDir, testOptions())
	must(t, err)
	if damage := w.Recovery().Damage; len(damage) != 1 || !errors.Is(damage[0], syscall.EIO) || w.Recovery().SnapshotID != 1 {
		t.Errorf("snapshot %d, damage %v", w.Recovery().SnapshotID, damage)
	}
	must(t, compareStates(w.State(), want))
	must(t, w.Close())

	for _, gone := range []string{ChunkName(2), SnapshotName(1)} {
		faulty := vfs.NewFaulty(copyDirectory(t, disk, gone))
		faulty.Add(vfs.Rule{Op: vfs.OpRead, PathPattern: SnapshotName(2), Err: syscall.EIO})
		if w, err := Open(faulty, testDir, testOptions()); !errors.Is(err, syscall.EIO) {
			t.Errorf("without %s too: %v", gone, err)
			must(t, w.Close())
		}
	}
}

func TestEveryDamageOfTheLastChunkSurvivesTwoOpens(t *testing.T) {
	full := exampleDirectory(t)
	image := full.Live(chunkPath(testDir, 2))
	for at := 0; at < usedBytes(image)+64; at += 3 {
		disk := copyDirectory(t, full)
		damaged := slices.Clone(image)
		damaged[at] ^= 0x10
		replaceFile(t, disk, ChunkName(2), damaged)
		w := openWriter(t, disk)
		if w.NextOrdinal() < 31 && at < usedBytes(image) {
			t.Fatalf("byte %d: next is %d", at, w.NextOrdinal())
		}
		appendAndCommit(t, w, sealed(3))
		next := w.NextOrdinal()
		must(t, w.Close())
		w = openWriter(t, disk)
		if w.NextOrdinal() != next || !w.State().Segment(3).Sealed {
			t.Fatalf("byte %d: next is %d, not %d; %v", at, w.NextOrdinal(), next, w.Recovery().Err())
		}
		must(t, w.Close())
		checkNothingOpen(t, disk)
	}
}

func TestBothSnapshotsDamagedMeansAFullReplay(t *testing.T) {
	disk := exampleDirectory(t)
	want, _, err := Load(disk, testDir, testLogID)
	must(t, err)
	for id := uint64(1); id <= 2; id++ {
		b := disk.Live(snapshotPath(testDir, id))
		b[200] ^= 1
		replaceFile(t, disk, SnapshotName(id), b)
	}
	state, recovery, err := Load(disk, testDir, testLogID)
	must(t, err)
	if recovery.SnapshotID != 0 || len(recovery.Damage) != 2 {
		t.Errorf("snapshot %d, damage %v", recovery.SnapshotID, recovery.Damage)
	}
	if err := compareStates(state, want); err != nil { // want is ahead in what the log itself knew better
		t.Error(err)
	}
	if state.NextOrdinal() != want.NextOrdinal() || state.Log().NextSeq != 21 || want.Log().NextSeq != 25 {
		t.Errorf("replay gives next seq %d up to record %d", state.Log().NextSeq, state.NextOrdinal())
	}
}

func TestAMissingChunkIsNamedWithItsRecords(t *testing.T) {
	disk := copyDirectory(t, exampleDirectory(t), SnapshotName(1), SnapshotName(2), ChunkName(1))
	w := openWriter(t, disk)
	damage := w.Recovery().Damage
	if len(damage) != 1 || damage[0].FirstOrdinal != 1 || damage[0].LastOrdinal != 27 || damage[0].Chunk != 1 || !errors.Is(damage[0], ErrMissing) {
		t.Errorf("damage is %v", damage)
	}
	must(t, w.Close())
	report, err := Check(disk, testDir)
	must(t, err)
	if report.Err() == nil {
		t.Error("check finds nothing wrong")
	}
}

func TestASnapshotWhoseChunkIsGoneIsBelievedAndItsFollowersAreNot(t *testing.T) {
	disk := copyDirectory(t, exampleDirectory(t), ChunkName(1), ChunkName(2))
	w := openWriter(t, disk)
	if w.State().SegmentCount() != 3 || len(w.Recovery().Damage) != 1 || w.NextOrdinal() < 31 {
		t.Errorf("%d segments, next %d, damage %v", w.State().SegmentCount(), w.NextOrdinal(), w.Recovery().Damage)
	}
	appendAndCommit(t, w, sealed(3))
	if _, err := w.WriteSnapshot(LogState{}); err != nil {
		t.Fatal(err)
	}
	must(t, w.Close())
	w = openWriter(t, disk)
	if err := w.Recovery().Err(); err != nil || !w.State().Segment(3).Sealed {
		t.Errorf("after a new snapshot: %v", err)
	}
	must(t, w.Close())
}

func TestWhatFollowsDamageIsTakenWithoutItsCauses(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	records := lifeOfALog()
	appendAndCommit(t, w, records[0]) // damage at the front would be the header's
	appendAndCommit(t, w, records[1:]...)
	must(t, w.Rotate())
	must(t, w.Close())
	places := extents(t, disk, 1)
	image := disk.Live(chunkPath(testDir, 1))
	for at := places[2][0]; at < places[4][1]; at += 8 { // SegmentOpened 1, SealSegment 1, SegmentOpened 2
		image[at] ^= 0xff
	}
	replaceFile(t, disk, ChunkName(1), image)
	w = openWriter(t, disk)
	if n := len(w.Recovery().Contradictions); n > 0 {
		t.Errorf("%d contradictions: %v", n, w.Recovery().Contradictions[0])
	}
	one, two := w.State().Segment(1), w.State().Segment(2)
	if one == nil || !one.Incomplete() || one.Resident.String() != "warm+cold" || one.Cold.ObjectBytes != 900 {
		t.Errorf("segment 1 is %+v", one)
	}
	if two == nil || !two.Incomplete() || !two.Sealed || two.LastSeq != 20 {
		t.Errorf("segment 2 is %+v", two)
	}
	// The facts come back from the footers.
	appendAndCommit(t, w, opened(1), sealed(1), opened(2))
	if one = w.State().Segment(1); one.Incomplete() || one.LastSeq != 10 || one.Resident.String() != "warm+cold" {
		t.Errorf("mended segment 1 is %+v", one)
	}
	if two = w.State().Segment(2); two.Incomplete() || two.Salt != 154 {
		t.Errorf("mended segment 2 is %+v", two)
	}
	must(t, w.Close())
}

// writeRecord puts a record of any content behind those of the first chunk.
func writeRecord(t testing.TB, disk *vfs.Mem, r Record) {
	t.Helper()
	s, err := scanFile(disk, chunkPath(testDir, 1))
	must(t, err)
	r.Ordinal = s.next
	b, err := EncodeRecord(nil, &r)
	must(t, err)
	file, err := disk.OpenReadWrite(chunkPath(testDir, 1))
	must(t, err)
	must(t, writeAll(file, b, int64(s.end)))
	must(t, file.Close())
}

func TestARecordThatVerifiesAndCannotBeMeantIsReported(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1))
	must(t, w.Close())
	writeRecord(t, disk, Record{SegmentID: 1, Payload: &Raw{Type: TypeSealSegment, Bytes: []byte("short")}})
	writeRecord(t, disk, about(7, &CompressionStarted{})) // nobody opened it: damage lies before
	writeRecord(t, disk, Record{Payload: &OwnerChanged{Epoch: 3, Owner: "a"}})
	writeRecord(t, disk, Record{Payload: &OwnerChanged{Epoch: 2, Owner: "b"}})
	w = openWriter(t, disk)
	r := w.Recovery()
	if len(r.Damage) != 1 || !errors.Is(r.Damage[0], ErrInvalid) || !r.lost()[2] || r.Damage[0].LostRecords() != 1 {
		t.Errorf("damage is %v", r.Damage)
	}
	if len(r.Contradictions) != 1 || r.Contradictions[0].Ordinal != 5 || !errors.Is(r.Err(), ErrStaleEpoch) {
		t.Errorf("contradictions are %v", r.Contradictions)
	}
	if s := w.State(); w.NextOrdinal() != 6 || s.Log().Owner != "a" || !s.Segment(7).Incomplete() || s.Segment(1).Sealed {
		t.Errorf("next is %d, log %+v", w.NextOrdinal(), s.Log())
	}
	must(t, w.Close())
}

// Without snapshot, without the chunks before, and with a header that does not
// verify, the records say where they stand; and without any, numbers begin above
// all that can have been given out.
func TestOrdinalsAreNotGivenOutAgainWhenNothingTellsThem(t *testing.T) {
	disk := copyDirectory(t, exampleDirectory(t), SnapshotName(1), SnapshotName(2), ChunkName(1))
	b := disk.Live(chunkPath(testDir, 2))
	b[20] ^= 1
	replaceFile(t, disk, ChunkName(2), b)
	w := openWriter(t, disk)
	if r := w.Recovery(); w.NextOrdinal() != 31 || !r.lost()[1] || !r.lost()[27] || r.lost()[28] {
		t.Errorf("next is %d, damage %v", w.NextOrdinal(), r.Damage)
	}
	must(t, w.Close())
	clear(b)
	b[130] = 1
	disk = vfs.NewMem(1)
	must(t, disk.MkdirAll(testDir))
	replaceFile(t, disk, ChunkName(2), b)
	w = openWriter(t, disk)
	if w.NextOrdinal() < 2*ChunkBytesMax/recordHeaderBytes-1 {
		t.Errorf("next is %d", w.NextOrdinal())
	}
	appendAndCommit(t, w, custom(1))
	next := w.NextOrdinal()
	must(t, w.Close())
	w = openWriter(t, disk)
	if w.NextOrdinal() != next {
		t.Errorf("next is %d, was %d", w.NextOrdinal(), next)
	}
	must(t, w.Close())
}

// What a snapshot knows, damage in front of it does not take away: the state of a
// check is that of an open.
func TestACheckTakesTheSnapshotBehindDamage(t *testing.T) {
	disk := vfs.NewMem(1)
	w := openWriter(t, disk)
	appendAndCommit(t, w, opened(1), sealed(1), Record{SegmentID: 1, Payload: &CompressionDone{ObjectBytes: 10, TailBytes: 2}})
	appendAndCommit(t, w, Record{SegmentID: 1, Payload: &LocalEvicted{Tier: TierHot}})
	at := extents(t, disk, 1)[4]
	_, err := w.WriteSnapshot(LogState{})
	must(t, err)
	appendAndCommit(t, w, opened(2))
	want := w.State().Segment(1).Resident
	must(t, w.Close())
	content := disk.Live(chunkPath(testDir, 1))
	content[at[0]+8] ^= 1
	replaceFile(t, disk, ChunkName(1), content)
	report, err := Check(disk, testDir)
	must(t, err)
	if len(report.Damage) == 0 || report.State.Segment(1).Resident != want || report.State.Segment(2) == nil {
		t.Errorf("damage %v, copies in %s, want %s", report.Damage, report.State.Segment(1).Resident, want)
	}
}
