package manifest

// This file names the tiers as they stand in records.

import (
	"strconv"
	"strings"
)

// Tier is a place where a segment's bytes can be.
type Tier uint8

// The tiers.
const (
	TierHot  Tier = 0 // segment file on the local disk
	TierWarm Tier = 1 // compressed file on the local disk
	TierCold Tier = 2 // compressed object in the bucket

	tierCount = 3
)

var tierNames = [tierCount]string{"hot", "warm", "cold"}

// String is the tier's name, "tier_<n>" for one of a newer version.
func (t Tier) String() string {
	if t < tierCount {
		return tierNames[t]
	}
	return numbered("tier", uint64(t))
}

// TierSet is a set of tiers, one bit each.
type TierSet uint8

// Has reports whether a tier is in the set.
func (s TierSet) Has(t Tier) bool { return s&(1<<t) != 0 }

// With is the set and one tier more.
func (s TierSet) With(t Tier) TierSet { return s | 1<<t }

// Without is the set without one tier.
func (s TierSet) Without(t Tier) TierSet { return s &^ (1 << t) }

// String lists the tiers' names, joined with +; "none" if there are none.
func (s TierSet) String() string {
	var names []string
	for t := TierHot; t < tierCount; t++ {
		if s.Has(t) {
			names = append(names, t.String())
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "+")
}

func numbered(what string, n uint64) string { return what + "_" + strconv.FormatUint(n, 10) }
