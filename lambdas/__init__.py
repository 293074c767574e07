"""The functions that run in AWS, one directory each."""
