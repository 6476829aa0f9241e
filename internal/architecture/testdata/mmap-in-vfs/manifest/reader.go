package manifest

import mmap "github.com/edsrzf/mmap-go" // want "for internal/vfs and cshared only"
