"""What nixcache is held against: the same things done again, simply, slowly, and from the formats' grammar alone."""
