"""Runs first in assay.pyz, by whatever Python the host has: hence nothing here that an old one cannot even read."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - that is the question
    sys.exit(
        "assay: Python 3.11 or newer is needed, and this is %d.%d."  # noqa: UP031
        " Say which one to use: python3.11 assay.pyz ..." % sys.version_info[:2]
    )
