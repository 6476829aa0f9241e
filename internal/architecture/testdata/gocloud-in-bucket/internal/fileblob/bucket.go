package fileblob

import "gocloud.dev/gcerrors"

var _ = gcerrors.NotFound
