"""What ``assay doctor`` looks at: a check is one line with its fix, and none of them raises or leaves anything."""
