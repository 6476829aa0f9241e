// Package buckettest puts faults between a blob.Bucket and its user, for tests:
// requests that fail, answers that get lost, objects that arrive in part, late,
// twice or not at all. It counts requests and bytes where the store would.
package buckettest
