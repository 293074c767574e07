"""Fuzzing with coverage feedback: what every parser promises, held against any bytes at all."""
