"""A graph of references that is shaped as a Nix closure is: layers, chains, and a few paths that everything needs."""

from __future__ import annotations

import random
from typing import Final

Graph = tuple[tuple[int, ...], ...]
"""For each path the numbers of those that it references: smaller ones only, so this order is one to build in."""

_HUBS: Final = 5
"""As libc, the compiler's runtime, bash, coreutils, zlib: the first of them is below everything."""
_CHAIN: Final = 40
"""Paths one on top of the other, as the stages of a bootstrap are."""
_SHARE_OF_CHAINS: Final = 0.04
_SHARE_OF_LEAVES: Final = 0.12
"""Sources, documentation and data reference nothing."""
_SHARES_OF_HUBS: Final = (0.9, 0.35, 0.25, 0.15, 0.1)
_LAYERS: Final = 12
_LIBRARIES: Final = 0.1
"""The share of each layer that is made to be referenced by others; of the rest, hardly anything is."""
_MORE_REFERENCES: Final = (0, 0, 0, 1, 1, 1, 2, 2, 3, 8)


def closure(paths: int, chooser: random.Random) -> Graph:
    """Return a graph of so many ``paths``; three references each, on average."""
    graph: list[tuple[int, ...]] = [(), *((0,) for _ in range(1, min(_HUBS, paths)))]
    libraries = list(range(len(graph)))
    layer = max(1, paths // _LAYERS)
    of_this_layer: list[int] = []
    while len(graph) < paths:
        number = len(graph)
        if chooser.random() < _SHARE_OF_CHAINS / _CHAIN:
            length = min(_CHAIN, paths - number)
            graph.extend(_with_hubs({number + step - 1} if step else set(), chooser) for step in range(length))
            continue
        if chooser.random() < _SHARE_OF_LEAVES:
            graph.append(())
        else:
            more = chooser.choice(_MORE_REFERENCES)
            graph.append(_with_hubs(set(chooser.choices(libraries, k=more)), chooser))
            if chooser.random() < _LIBRARIES:
                of_this_layer.append(number)
        if number % layer == 0:
            libraries.extend(of_this_layer)
            of_this_layer.clear()
    return tuple(graph)


def _with_hubs(references: set[int], chooser: random.Random) -> tuple[int, ...]:
    hubs = {hub for hub, share in enumerate(_SHARES_OF_HUBS) if chooser.random() < share}
    return tuple(sorted(references | hubs))
