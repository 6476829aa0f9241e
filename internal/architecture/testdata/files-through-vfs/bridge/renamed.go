package bridge

import files "os"

func read() { files.ReadFile("credentials") } // want "os.ReadFile"
