"""``assayctl import-key``: sign with an existing key."""

from __future__ import annotations

import argparse

from assayctl.deployment import Deployment
from assayctl.key_function import KeyFunction
from assayctl.keys import SigningSecret, announced
from protocol.signing_secret import CURRENT

_LARGEST = 4096


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "import-key",
        help="sign with an existing key",
        description="Reads a secret key, as `nix-store --generate-binary-cache-key` writes it, from a file or standard"
        " input (-). It signs from now on; the one before signs beside it until the overlap ends. Refused while the"
        " overlap of a rotation lasts, and where readers know another key by its name. Destroy the file afterwards.",
    )
    parser.add_argument("file", type=argparse.FileType("rb"), help="the secret key; - for standard input")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    with arguments.file as file:
        text = file.read(_LARGEST).decode(errors="replace")
    function = KeyFunction(deployment)
    secret = SigningSecret(deployment)
    if CURRENT in secret.stages():
        # Anew: by what readers were told before the last change, a key that they trust could be pushed out.
        function.announce()
    public_key = secret.import_key(text, announced(deployment))
    function.announce()
    print(f"It signs from now on. Readers trust it as\n{public_key}")
    return 0
