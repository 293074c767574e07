"""The signing key's life: made in AWS, seen by nobody, replaced by the next, announced to readers."""
