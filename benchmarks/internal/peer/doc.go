// Package peer runs the servers that are compared, each as a process of its own
// with an empty directory, as its users would start it.
package peer
