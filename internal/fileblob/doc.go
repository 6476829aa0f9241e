// Package fileblob keeps objects of a gocloud bucket as files of a directory,
// durably and atomically, over internal/vfs. It is the store behind file://
// buckets.
//
// # What an answer means
//
// An object is whole or absent, whatever happens. It is written to a temporary
// file below .tmp, synced, and then gets its name: by link(2) if the key must be
// new, by rename(2) if it may be overwritten. Directories are made and synced
// from the top down before that, and the directory that got the name is synced
// after it. Only then is a write confirmed.
//
// What the bucket has said about a name survives a power cut, whoever made the
// name: "exists already", attributes, a listed key and "not found" for a delete
// are answered only after a sync of the directory they are about. So an object
// that a killed process had linked but not synced is safe before anybody can
// adopt it. Reading the bytes of an object syncs nothing.
//
// # Names
//
//	a/b/c   <dir>/a+/b+/c
//
// Each part of a key is one name; all but the last are directories, which end
// in '+', so keys a and a/b do not collide. Other bytes than printable ASCII,
// the characters "*/:<>?\| and %, a '.' at the front and a '+' at the end are
// written as %XX, an empty last part as %. Names that start with '.' belong to
// the bucket itself; whatever else is not written in this way is not an object
// and is left alone. A part whose name would be longer than 255 bytes is refused.
// On a file system that folds case, keys that differ in case alone are one name.
//
// # Attributes
//
// Size and times are those of the file. The ETag is made of time of change, size
// and the file's number: it changes with each write of the key, and also if the
// directory is copied elsewhere. Content type and metadata are kept in a file of
// their own below .attributes, unsynced and only if there are any; it names the
// ETag that it belongs to and has a checksum. When it is lost, late or damaged,
// the object has the content type application/octet-stream and no metadata, and
// nothing else differs.
//
// # Leftovers
//
// Each open bucket writes its temporary files below a directory of its own,
// .tmp/<random>, that holds a lock for as long as it is open. Whoever makes such
// a directory removes those of others whose lock is free: their owner is dead.
// Should a file system not keep locks apart, a live temporary file may get
// removed: its write fails then, and can be done again. Directories that have
// become empty are kept.
package fileblob
