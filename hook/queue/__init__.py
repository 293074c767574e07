"""The durable queue: what hooks spool, what the uploader knows of each path, and how others may ask about it."""
