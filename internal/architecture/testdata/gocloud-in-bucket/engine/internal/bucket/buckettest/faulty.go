package buckettest

import "gocloud.dev/blob/driver"

var _ driver.Bucket
