// Package manifest is described in a test, where nobody looks.
package manifest
