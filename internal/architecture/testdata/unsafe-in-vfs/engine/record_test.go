package engine

import "unsafe" // want "for internal/vfs and cshared only"
