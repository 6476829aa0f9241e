package vfs

import "os"

func open() { os.Open("segment") }
