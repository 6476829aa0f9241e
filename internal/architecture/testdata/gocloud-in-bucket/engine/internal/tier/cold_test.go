package tier

import _ "gocloud.dev/blob/s3blob" // want "is for internal/fileblob and engine/internal/bucket only"
