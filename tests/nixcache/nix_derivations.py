"""Derivations for tests to build with real Nix: they need /bin/sh and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.nixcache.relocated_nix import RelocatedNix

FLOATING = {"__contentAddressed": "true", "outputHashMode": '"recursive"', "outputHashAlgo": '"sha256"'}
"""What makes a derivation's outputs content-addressed by whatever they turn out to be."""


def instantiate(
    nix: RelocatedNix, script: str, *, name: str = "example", outputs: Sequence[str] = ("out",), **attributes: str
) -> str:
    """Return the path of a derivation that runs ``script``, in which ``${…}`` is Nix's own antiquotation.

    ``attributes`` are Nix expressions.
    """
    given = "".join(f"{attribute} = {value};\n" for attribute, value in attributes.items())
    expression = f"""derivation {{
        name = {json.dumps(name)};
        system = builtins.currentSystem;
        outputs = [ {" ".join(map(json.dumps, outputs))} ];
        builder = "/bin/sh";
        args = [ "-c" ''{script}'' ];
        {given}
    }}"""
    file = nix.root / "default.nix"
    file.write_text(expression)
    return nix.line("nix-instantiate", file)


def realise(nix: RelocatedNix, derivation: str) -> list[str]:
    """Build every output of ``derivation``."""
    return nix.line("nix-store", "--realise", derivation).split()
