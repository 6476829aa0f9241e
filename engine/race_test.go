//go:build race

package engine

// flipStride is which share of the bytes the tests flip that flip byte by byte:
// under the race detector, which makes each look thirty times as slow and learns
// nothing more from them, some. They run without it too, and flip all.
const flipStride = 11
