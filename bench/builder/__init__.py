"""The builder's side beside Nix's own: ``python -m bench.builder``."""
