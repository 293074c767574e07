"""The commands, one a file: ``add_parser`` registers it, ``run`` returns its exit code."""
