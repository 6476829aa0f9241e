package command

import (
	"os"

	"golang.org/x/sys/unix"
)

func hasTerminalSettings(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TIOCGETA)
	return err == nil
}
