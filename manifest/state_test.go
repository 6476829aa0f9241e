package manifest

// This file is the transitions: what each record does to the state, what it
// contradicts, and that repeating a step changes nothing.

import (
	"errors"
	"fmt"
	"testing"
)

func stateOf(t testing.TB, records ...Record) *State {
	t.Helper()
	s := NewState()
	for i, r := range records {
		next, err := s.Apply(r)
		if err != nil {
			t.Fatalf("record %d, %s: %v", i, r.Type(), err)
		}
		s = next
	}
	return s
}

func about(id uint64, p Payload) Record { return Record{SegmentID: id, TimestampNs: 50, Payload: p} }

// warmAndCold brings segment 1 to warm and cold; it is hot as well.
func warmAndCold() []Record {
	return []Record{opened(1), sealed(1),
		about(1, &CompressionDone{ObjectBytes: 500, TailBytes: 50, WarmCRC64: 7}),
		about(1, &UploadStarted{Key: "k1", Generation: 1}),
		about(1, &UploadDone{Key: "k1", ETag: "e", ObjectBytes: 500, TailBytes: 50})}
}

func TestContradictionsAreRefused(t *testing.T) {
	base := []Record{opened(1), sealed(1), opened(2)}
	cases := []struct {
		name   string
		before []Record
		record Record
		cause  error
	}{
		{"opened with another base", base, about(1, &SegmentOpened{BaseSeq: 2, Epoch: 1, Salt: 77}), ErrConflict},
		{"opened before the end of the one before", base, about(3, &SegmentOpened{BaseSeq: 10, Epoch: 1}), ErrConflict},
		{"opened behind the one after", []Record{opened(2)}, about(1, &SegmentOpened{BaseSeq: 99}), ErrConflict},
		{"opened at sequence 0", nil, about(1, &SegmentOpened{}), ErrInvalid},
		{"sealed without being opened", base, sealed(3), ErrUnknownSegment},
		{"sealed with another end", base, about(1, &SealSegment{FirstSeq: 1, LastSeq: 9, RecordCount: 9, SegmentCRC64: 0xabc1}), ErrConflict},
		{"sealed into the next one", []Record{opened(1), opened(2)}, about(1, &SealSegment{FirstSeq: 1, LastSeq: 11, RecordCount: 11}), ErrConflict},
		{"sealed with more records than sequences", base, about(2, &SealSegment{FirstSeq: 11, LastSeq: 12, RecordCount: 3}), ErrInvalid},
		{"sealed before its base", base, about(2, &SealSegment{FirstSeq: 10, LastSeq: 12, RecordCount: 3}), ErrInvalid},
		{"compressed while written", base, about(2, &CompressionStarted{}), ErrNotSealed},
		{"compressed, unknown", base, about(9, &CompressionDone{}), ErrUnknownSegment},
		{"uploaded while written", base, about(2, &UploadStarted{Key: "k", Generation: 1}), ErrNotSealed},
		{"uploaded without an intent", base, about(1, &UploadDone{Key: "k"}), ErrNoIntent},
		{"uploaded with the intent of another", append(warmAndCold(), about(1, &UploadStarted{Key: "k2", Generation: 2}), opened(2)), about(2, &UploadDone{Key: "k2"}), ErrNoIntent},
		{"upload announced for another segment", append(warmAndCold(), about(1, &UploadStarted{Key: "k2", Generation: 2})), about(0, &UploadStarted{Key: "k2", Generation: 2}), ErrConflict},
		{"generation used again", warmAndCold(), about(1, &UploadStarted{Key: "k2", Generation: 1}), ErrConflict},
		{"confirmed with another etag", warmAndCold(), about(1, &UploadDone{Key: "k1", ETag: "f", ObjectBytes: 500}), ErrConflict},
		{"upload failed with the intent of another", append(warmAndCold(), about(1, &UploadStarted{Key: "k2", Generation: 2}), opened(2)), about(2, &UploadFailed{Key: "k2"}), ErrNoIntent},
		{"object confirmed with the intent of a segment", append(warmAndCold(), about(1, &UploadStarted{Key: "k2", Generation: 2})), about(0, &UploadDone{Key: "k2"}), ErrNoIntent},
		{"hydration failed without an intent", warmAndCold(), about(1, &HydrationFailed{Attempt: 1}), ErrNoIntent},
		{"hydration failed of an open segment", []Record{opened(1)}, about(1, &HydrationFailed{Attempt: 1}), ErrNotSealed},
		{"upload failed without an intent", base, about(1, &UploadFailed{Key: "k"}), ErrNoIntent},
		{"announced while it is to be deleted", append(base, about(0, &Tier2DeleteQueued{Key: "k"})), about(1, &UploadStarted{Key: "k", Generation: 1}), ErrConflict},
		{"deleted without an intent", warmAndCold(), about(1, &Tier2Deleted{Key: "k1"}), ErrNoIntent},
		{"queued for another segment", append(warmAndCold(), about(1, &Tier2DeleteQueued{Key: "k1"})), about(2, &Tier2DeleteQueued{Key: "k1"}), ErrConflict},
		{"last copy evicted", base, about(1, &LocalEvicted{Tier: TierHot}), ErrLastCopy},
		{"evicted while written", base, about(2, &LocalEvicted{Tier: TierHot}), ErrNotSealed},
		{"cold evicted", warmAndCold(), about(1, &LocalEvicted{Tier: TierCold}), ErrInvalid},
		{"evicted beside a bad copy", append(base, about(1, &CompressionDone{}), about(1, &SegmentQuarantined{Tier: TierWarm})), about(1, &LocalEvicted{Tier: TierHot}), ErrLastCopy},
		{"evicted beside an object to be deleted", append(warmAndCold(), about(1, &LocalEvicted{Tier: TierWarm}), about(1, &Tier2DeleteQueued{Key: "k1"})), about(1, &LocalEvicted{Tier: TierHot}), ErrLastCopy},
		{"last copy queued for deletion", append(warmAndCold(), about(1, &LocalEvicted{Tier: TierHot}), about(1, &LocalEvicted{Tier: TierWarm})), about(1, &Tier2DeleteQueued{Key: "k1"}), ErrLastCopy},
		{"hydrated from where it is not", base, about(1, &HydrationStarted{Source: TierCold, Target: TierWarm}), ErrConflict},
		{"hydrated to cold", warmAndCold(), about(1, &HydrationStarted{Source: TierHot, Target: TierCold}), ErrInvalid},
		{"hydrated without an intent", warmAndCold(), about(1, &HydrationDone{}), ErrNoIntent},
		{"verified in a tier that is none", base, about(1, &SegmentVerified{Tier: 3}), ErrInvalid},
		{"older owner", []Record{about(0, &OwnerChanged{Epoch: 5, Owner: "a"})}, about(0, &OwnerChanged{Epoch: 4, Owner: "b"}), ErrStaleEpoch},
		{"other owner of the same epoch", []Record{about(0, &OwnerChanged{Epoch: 5, Owner: "a"})}, about(0, &OwnerChanged{Epoch: 5, Owner: "b"}), ErrStaleEpoch},
		{"trimmed to nothing", base, about(0, &LogTrimmed{}), ErrInvalid},
		{"dictionary without an object", base, about(0, &DictionaryAdded{DictionaryID: 1, Key: "d"}), ErrNoIntent},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := stateOf(t, c.before...)
			after, err := s.Apply(c.record)
			var contradiction *ContradictionError
			if !errors.Is(err, c.cause) || !errors.As(err, &contradiction) || contradiction.Error() == "" {
				t.Fatalf("error is %v", err)
			}
			if after != s {
				t.Error("the state is another one")
			}
			if err := compareStates(stateOf(t, c.before...), s); err != nil {
				t.Errorf("the state was changed: %v", err)
			}
		})
	}
}

func TestRepeatedStepsChangeNothing(t *testing.T) {
	lives := [][]Record{lifeOfALog(), append(warmAndCold(), about(1, &LocalEvicted{Tier: TierHot}), about(1, &Tier2DeleteQueued{Key: "old"}))}
	for _, life := range lives {
		s := NewState()
		for i, r := range life {
			once, err := s.Apply(r)
			must(t, err)
			twice, err := once.Apply(r)
			if err != nil {
				t.Fatalf("record %d, %s, repeated: %v", i, r.Type(), err)
			}
			if err := compareStates(once, twice); err != nil {
				t.Fatalf("record %d, %s, repeated: %v", i, r.Type(), err)
			}
			s = once
		}
	}
}

func TestASegmentsLifeThroughTheTiers(t *testing.T) {
	s := stateOf(t, warmAndCold()...)
	steps := []struct {
		record   Record
		resident string
		good     string
	}{
		{about(1, &LocalEvicted{Tier: TierHot}), "warm+cold", "warm+cold"},
		{about(1, &SegmentQuarantined{Tier: TierWarm, Reason: ReasonChecksum, Offset: 3, Length: 4}), "warm+cold", "cold"},
		{about(1, &LocalEvicted{Tier: TierWarm}), "cold", "cold"},
		{about(1, &HydrationStarted{Source: TierCold, Target: TierWarm}), "cold", "cold"},
		{about(1, &HydrationFailed{Reason: ReasonUnavailable, Attempt: 2}), "cold", "cold"},
		{about(1, &HydrationStarted{Source: TierCold, Target: TierWarm}), "cold", "cold"},
		{about(1, &HydrationDone{ResidentBytes: 500}), "warm+cold", "warm+cold"},
		{about(1, &UploadStarted{Key: "k2", Generation: 2}), "warm+cold", "warm+cold"},
		{about(1, &UploadFailed{Key: "k2", Reason: ReasonTransient, Attempt: 1}), "warm+cold", "warm+cold"},
		{about(1, &UploadDone{Key: "k2", ETag: "e2", ObjectBytes: 501}), "warm+cold", "warm+cold"},
		{about(1, &Tier2DeleteQueued{Key: "k1"}), "warm+cold", "warm+cold"}, // the older generation
		{about(1, &Tier2Deleted{Key: "k1"}), "warm+cold", "warm+cold"},
		{about(1, &Tier2DeleteQueued{Key: "k2"}), "warm+cold", "warm"},
		{about(0, &LogTrimmed{FirstSeqKept: 11}), "warm+cold", "warm"},
		{about(1, &LocalEvicted{Tier: TierWarm}), "cold", "none"},
	}
	for i, step := range steps {
		next, err := s.Apply(step.record)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		s = next
		segment := s.Segment(1)
		if segment.Resident.String() != step.resident || segment.GoodCopies().String() != step.good {
			t.Fatalf("step %d: %s, good %s", i, segment.Resident, segment.GoodCopies())
		}
		checkStep(t, i, segment)
	}
	s = stateFrom(t, s, about(1, &Tier2Deleted{Key: "k2"}))
	if s.Segment(1) != nil || s.SegmentCount() != 0 || s.Log().NextSegmentID != 2 || s.Log().NextSeq != 11 || s.Log().TrimmedTo != 10 {
		t.Errorf("nothing is left of segment 1, the state has %d segments, %+v", s.SegmentCount(), s.Log())
	}
}

// checkStep looks at details of the life above.
func checkStep(t *testing.T, step int, s *Segment) {
	t.Helper()
	ok := true
	switch step {
	case 1:
		ok = len(s.Marks) == 1 && s.Marks[0] == QuarantineMark{TierWarm, ReasonChecksum, 3, 4, 50}
	case 2:
		ok = len(s.Marks) == 0
	case 3:
		ok = s.Hydrating && s.HydrationTarget == TierWarm
	case 4:
		ok = !s.Hydrating && s.HydrationFailure == Failure{ReasonUnavailable, 2}
	case 6:
		ok = !s.Hydrating && s.HydrationFailure == Failure{} && s.Warm.CRC64 == 7
	case 9:
		ok = s.Cold.Key == "k2" && s.Cold.Generation == 2 && s.NextGeneration == 3
	case 12:
		ok = s.ColdDeleteQueued
	}
	if !ok {
		t.Errorf("step %d: %+v", step, s)
	}
}

func stateFrom(t testing.TB, s *State, records ...Record) *State {
	t.Helper()
	for _, r := range records {
		next, err := s.Apply(r)
		must(t, err)
		s = next
	}
	return s
}

func TestAnAdoptedObjectLeavesTheWarmChecksumOpen(t *testing.T) {
	s := stateOf(t, opened(1), sealed(1), about(1, &CompressionDone{ObjectBytes: 500, TailBytes: 50, WarmCRC64: 7}),
		about(1, &UploadStarted{Key: "k", Generation: 1}), about(1, &UploadDone{Key: "k", ObjectBytes: 480, TailBytes: 40}),
		about(1, &LocalEvicted{Tier: TierWarm}), about(1, &HydrationStarted{Source: TierCold, Target: TierWarm}), about(1, &HydrationDone{ResidentBytes: 480}))
	if warm := s.Segment(1).Warm; warm.CRC64 != 0 || warm.ObjectBytes != 480 || warm.TailBytes != 40 {
		t.Errorf("warm is %+v", warm)
	}
}

func TestTrimmedSegmentsAreForgottenWhenTheyAreNowhere(t *testing.T) {
	var records []Record
	for id := uint64(1); id <= 4; id++ {
		records = append(records, opened(id), sealed(id))
	}
	records = append(records, about(0, &LogTrimmed{FirstSeqKept: 25}))
	s := stateOf(t, records...)
	if s.SegmentCount() != 4 {
		t.Fatalf("%d segments before anything is evicted", s.SegmentCount())
	}
	s = stateFrom(t, s, about(1, &LocalEvicted{Tier: TierHot}), about(2, &LocalEvicted{Tier: TierHot}))
	if s.SegmentCount() != 2 || s.Segment(2) != nil || s.Segment(3) == nil {
		t.Errorf("%d segments", s.SegmentCount())
	}
	if _, err := s.Apply(about(3, &LocalEvicted{Tier: TierHot})); !errors.Is(err, ErrLastCopy) {
		t.Errorf("segment 3 is trimmed in part: %v", err)
	}
}

func TestAnEmptySegmentHasNothingToLose(t *testing.T) {
	s := stateOf(t, opened(1), sealed(1), opened(2), about(2, &SealSegment{FirstSeq: 11, LastSeq: 10}), about(3, &SegmentOpened{BaseSeq: 11}))
	s = stateFrom(t, s, about(2, &LocalEvicted{Tier: TierHot}))
	if s.Segment(2) != nil || s.SegmentCount() != 2 {
		t.Errorf("%d segments", s.SegmentCount())
	}
}

func TestUploadedChunksAreKeptAsFewRanges(t *testing.T) {
	var log LogState
	for _, index := range []uint64{5, 1, 2, 9, 3, 4, 4, 8} {
		log.addUploadedChunk(index)
	}
	if got := fmt.Sprint(log.UploadedChunks); got != "[{1 5} {8 9}]" {
		t.Errorf("ranges are %s", got)
	}
	if log.ChunkIsUploaded(6) || !log.ChunkIsUploaded(3) || !log.ChunkIsUploaded(8) {
		t.Error("the ranges answer wrongly")
	}
}

func TestDictionariesGoThroughAnUploadOfTheLog(t *testing.T) {
	s := stateOf(t, about(0, &UploadStarted{Key: "dictionaries/1"}), about(0, &UploadDone{Key: "dictionaries/1"}))
	if u := s.Upload("dictionaries/1"); u == nil || !u.Confirmed {
		t.Fatalf("upload is %+v", u)
	}
	s = stateFrom(t, s, about(0, &DictionaryAdded{DictionaryID: 1, Key: "dictionaries/1", CRC64: 8}))
	if s.Upload("dictionaries/1") != nil || s.Dictionary(1) == nil || s.Dictionary(1).CRC64 != 8 {
		t.Errorf("dictionary is %+v", s.Dictionary(1))
	}
	if _, err := s.Apply(about(0, &DictionaryAdded{DictionaryID: 1, Key: "other", CRC64: 8})); !errors.Is(err, ErrConflict) {
		t.Errorf("the same id again: %v", err)
	}
}

func TestAStateIsNotChangedByWhatFollows(t *testing.T) {
	states := []*State{NewState()}
	var encoded [][]byte
	for _, r := range lifeOfALog() {
		last := states[len(states)-1]
		b, err := encodeSections(last)
		must(t, err)
		encoded = append(encoded, b)
		next, err := last.Apply(r)
		must(t, err)
		states = append(states, next)
	}
	for i, want := range encoded {
		got, err := encodeSections(states[i])
		must(t, err)
		if string(got) != string(want) {
			t.Errorf("state after %d records was changed", i)
		}
	}
}
