package bridge

import "time"

func retry() { time.Sleep(time.Second) }
