"""Code maps in a site's configuration: what is applied of each file joins `codes`, and so the log and its hash.

Owns the join, and its faults. Must not know a file system: whoever reads the configuration brings a reader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from connectors.terminology.code_map import CodeMap, read_map

ReadMap = Callable[[str], bytes]
"""Gives the bytes of a map by its name in the configuration; raises `OSError`."""


def read_maps(names: Sequence[str], read: ReadMap) -> list[CodeMap]:
    """Read the maps, in their order; raises `CodeMapError`, and `ValueError` for a file that cannot be read."""
    found = []
    for name in names:
        try:
            data = read(name)
        except OSError as error:
            raise ValueError(f"{name}: {error.strerror or error}") from None
        found.append(read_map(data, name))
    return found


def joined(codes: Any, maps: Sequence[CodeMap]) -> dict[str, dict[str, str]]:
    r"""Join what is written under `[codes]` with the maps; raises `ValueError` where two say different things.

    >>> read = read_maps(["m.csv"], lambda name: b"system,code,target,reviewer,reviewed\nL,K,2823-3,A,2026-03-01\n")
    >>> joined({"L": {"NA": "sodium"}}, read)
    {'L': {'NA': 'sodium', 'K': '2823-3'}}
    >>> joined({"L": {"K": "sodium"}}, read)
    Traceback (most recent call last):
    ValueError: m.csv: L|K is 2823-3 here and sodium in [codes]
    """
    table = {system: dict(of_system) for system, of_system in codes.items()}
    said = {(system, code): "[codes]" for system, of_system in table.items() for code in of_system}
    for one in maps:
        for system, of_system in one.table.items():
            mine = table.setdefault(system, {})
            for code, target in of_system.items():
                if mine.setdefault(code, target) != target:
                    where = said[system, code]
                    raise ValueError(f"{one.name}: {system}|{code} is {target} here and {mine[code]} in {where}")
                said.setdefault((system, code), one.name)
    return table
