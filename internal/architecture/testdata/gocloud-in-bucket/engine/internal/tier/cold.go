package tier

import "gocloud.dev/blob" // want "is for internal/fileblob and engine/internal/bucket only"

var _ *blob.Bucket
