package bridge

import "sync"

// complaintsMax bounds what is kept of what a server refused.
const complaintsMax = 16

// complaintList is what the server refused since a connection was made.
type complaintList struct {
	mu   sync.Mutex
	list []string
}

func (c *complaintList) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) < complaintsMax {
		c.list = append(c.list, text)
	}
}

func (c *complaintList) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
}

func (c *complaintList) get() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.list...)
}
