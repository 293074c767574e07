"""What people and clients find at the cache's root: ``nix-cache-info``, the landing page, and its counts."""
