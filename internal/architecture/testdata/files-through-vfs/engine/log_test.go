package engine

import "os"

func read() { os.ReadFile("segment") }
