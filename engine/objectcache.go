package engine

import (
	"container/list"
	"sync"

	"github.com/aof-nats/aof-nats/engine/internal/tier"
	"github.com/aof-nats/aof-nats/manifest"
)

// objectCache keeps the objects that were opened last: their decoded indexes,
// inside a byte budget.
type objectCache struct {
	limit int64

	mu struct {
		sync.Mutex
		bytes int64
		order *list.List // of *cachedObject, the one used last in front
		byKey map[objectKey]*list.Element
	}
}

type objectKey struct {
	log        uint64
	segment    uint64
	tier       manifest.Tier
	generation uint32 // of a cold object
	salvaged   bool
}

// ofSalvaged names what is salvaged of an object that does not open, or not whole.
func (k objectKey) ofSalvaged() objectKey {
	k.salvaged = true
	return k
}

type cachedObject struct {
	key    objectKey
	object *tier.Object
}

func newObjectCache(limit int64) *objectCache {
	c := &objectCache{limit: limit}
	c.mu.order = list.New()
	c.mu.byKey = make(map[objectKey]*list.Element)
	return c
}

func (c *objectCache) get(key objectKey) *tier.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.mu.byKey[key]
	if element == nil {
		return nil
	}
	c.mu.order.MoveToFront(element)
	return element.Value.(*cachedObject).object //nolint:errcheck // the list holds nothing else
}

func (c *objectCache) put(key objectKey, object *tier.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(c.mu.byKey[key])
	c.mu.byKey[key] = c.mu.order.PushFront(&cachedObject{key: key, object: object})
	c.mu.bytes += object.MemoryBytes()
	for c.mu.bytes > c.limit && c.mu.order.Len() > 1 {
		c.removeLocked(c.mu.order.Back())
	}
}

// drop forgets an object, because it is gone or damaged.
func (c *objectCache) drop(key objectKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(c.mu.byKey[key])
}

func (c *objectCache) removeLocked(element *list.Element) {
	if element == nil {
		return
	}
	cached := c.mu.order.Remove(element).(*cachedObject) //nolint:errcheck // the list holds nothing else
	delete(c.mu.byKey, cached.key)
	c.mu.bytes -= cached.object.MemoryBytes()
}
