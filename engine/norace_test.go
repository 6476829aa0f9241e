//go:build !race

package engine

const flipStride = 1
