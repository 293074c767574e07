"""The commands of ``assay``, one a file."""
