"""Python side of aof-nats, an event log for NATS with tiered storage."""
