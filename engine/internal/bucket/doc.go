// Package bucket is what the engine needs of an object store, over gocloud's
// blob.Bucket: objects that are written once, ranged reads that are exact,
// errors by kind with retries by kind, and the claims that fence a stale owner.
//
// A [Bucket] is opened by URL. Everything of one log lies in one [Folder] of it.
// Keys are relative to their folder; key.go has their forms.
//
// No call decides what an unclear outcome means: a write that fails in a way
// that leaves its effect open looks at the key, says what it found, and leaves
// it to the caller to compare and adopt the object.
package bucket
