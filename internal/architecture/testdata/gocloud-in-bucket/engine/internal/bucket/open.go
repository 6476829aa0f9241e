package bucket

import "gocloud.dev/blob/memblob"

var open = memblob.OpenBucket
