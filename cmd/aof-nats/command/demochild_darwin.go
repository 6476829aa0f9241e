package command

import "syscall"

// childAttributes keep the keyboard's signals from a child, which its parent
// stops in its own time.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
