"""Strips debugging symbols from shared libraries of any processor, without that processor's tools.

All that a program needs of a library at run time is in the library's segments. Behind them are symbol tables for
debuggers, and the section headers that index them. The loader reads neither, so a library may end there.

Offsets and names are those of elf(5).
"""

from __future__ import annotations

import struct
from pathlib import Path
from struct import unpack_from
from typing import Final

_MAGIC: Final = b"\x7fELF\x02\x01"  # 64 bits, least significant byte first: x86-64 and arm64 alike
_SHARED_OBJECT: Final = 3
_HEADER_BYTES: Final = 64
_SECTION_OFFSET: Final = slice(40, 48)  # e_shoff
_SECTION_COUNT: Final = slice(60, 64)  # e_shnum and e_shstrndx


def strip(library: Path) -> int:
    """Remove everything behind a shared library's last segment, and return how many bytes that was.

    A file that is not a 64-bit ELF shared object is not changed, and the result is 0. Raises ValueError for a damaged
    library, and does not change it either.
    """
    content = library.read_bytes()
    if not content.startswith(_MAGIC):
        return 0
    try:
        (e_type,) = unpack_from("<H", content, 16)
        (e_phoff,) = unpack_from("<Q", content, 32)
        e_phentsize, e_phnum = unpack_from("<HH", content, 54)
        # The end of each segment: p_offset plus p_filesz.
        ends: list[int] = [
            sum(unpack_from("<8xQ16xQ", content, e_phoff + number * e_phentsize)) for number in range(e_phnum)
        ]
    except struct.error as error:
        raise ValueError(f"{library} is damaged: {error}") from error
    if e_type != _SHARED_OBJECT:
        return 0
    end = max(_HEADER_BYTES, *ends)
    if end > len(content):
        raise ValueError(f"{library} is damaged: it has {len(content)} bytes, but its segments need {end}.")
    stripped = bytearray(content[:end])
    for section_headers in (_SECTION_OFFSET, _SECTION_COUNT):
        stripped[section_headers] = bytes(section_headers.stop - section_headers.start)
    library.write_bytes(stripped)
    return len(content) - end
