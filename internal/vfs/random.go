package vfs

// This file is the source of everything random in the simulated disk.

// random is a splitmix64 generator: small enough for one in every file, so that
// what happens to one file does not depend on the order in which others are
// used.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// below returns a number in [0, n), 0 if n is not positive.
func (r *random) below(n int) int {
	if n <= 0 {
		return 0
	}
	return int(r.next() % uint64(n))
}

func (r *random) percent(p int) bool { return r.below(100) < p }

// seedFor mixes a name and a number into a seed (FNV-1a).
func seedFor(seed uint64, name string, number uint64) uint64 {
	hash := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		hash = (hash ^ uint64(name[i])) * 0x100000001b3
	}
	mixer := random{state: seed ^ hash}
	return mixer.next() ^ number*0xd6e8feb86659fd93
}
