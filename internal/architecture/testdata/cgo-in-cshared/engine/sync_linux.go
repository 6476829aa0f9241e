//go:build linux

package engine

// #include <unistd.h>
import "C" // want "for cshared only"
