package vfs

import "unsafe"
