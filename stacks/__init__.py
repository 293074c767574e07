"""Assay as AWS infrastructure: one stack of small constructs, one idea a file."""
