"""Nix's binary cache formats and the proofs that Assay makes about them.

Pure: no AWS, no network, no clock, no environment. Every parser accepts its input or raises
:class:`nixcache.errors.PermanentError`; nothing else escapes, whatever the bytes.
"""
