// Package engine says what it is for.
package engine
