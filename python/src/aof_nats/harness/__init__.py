"""An independent reader of the files of aof-nats, and what tests build on it.

The reader is written from docs/segment-format.md and docs/manifest-format.md
and shares no code with the program that writes the files: where the two
disagree, a page, the program or the reader is wrong.
"""
