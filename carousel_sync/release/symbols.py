"""Strips debugging symbols from shared libraries of any processor, without that processor's tools.

All that a program needs of a library at run time is in the library's segments. Behind them are symbol tables for
debuggers, and the section headers that index them. The loader reads neither, so a library may end there.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final, NamedTuple

_MAGIC: Final = b"\x7fELF\x02\x01"  # 64 bits, least significant byte first: x86-64 and arm64 alike
_SHARED_OBJECT: Final = 3
_HEADER_LAYOUT: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT_LAYOUT: Final = struct.Struct("<IIQQQQQQ")


class _Header(NamedTuple):
    """The header of an ELF file, with the names of elf(5)."""

    e_ident: bytes
    e_type: int
    e_machine: int
    e_version: int
    e_entry: int
    e_phoff: int
    e_shoff: int
    e_flags: int
    e_ehsize: int
    e_phentsize: int
    e_phnum: int
    e_shentsize: int
    e_shnum: int
    e_shstrndx: int


class _Segment(NamedTuple):
    """An entry of an ELF file's program header table, with the names of elf(5)."""

    p_type: int
    p_flags: int
    p_offset: int
    p_vaddr: int
    p_paddr: int
    p_filesz: int
    p_memsz: int
    p_align: int


def strip(library: Path) -> int:
    """Remove everything behind a shared library's last segment, and return how many bytes that was.

    A file that is not a 64-bit ELF shared object is not changed, and the result is 0. Raises ValueError for a damaged
    library, and does not change it either.
    """
    content = library.read_bytes()
    if not content.startswith(_MAGIC):
        return 0
    try:
        header = _Header(*_HEADER_LAYOUT.unpack_from(content))
        end = _end_of_segments(content, header)
    except struct.error as error:
        raise ValueError(f"{library} is damaged: {error}") from error
    if header.e_type != _SHARED_OBJECT:
        return 0
    if end > len(content):
        raise ValueError(f"{library} is damaged: it has {len(content)} bytes, and its segments need {end}.")
    without_sections = header._replace(e_shoff=0, e_shnum=0, e_shstrndx=0)
    library.write_bytes(_HEADER_LAYOUT.pack(*without_sections) + content[_HEADER_LAYOUT.size : end])
    return len(content) - end


def _end_of_segments(content: bytes, header: _Header) -> int:
    table = range(header.e_phoff, header.e_phoff + header.e_phnum * header.e_phentsize, header.e_phentsize)
    segments = [_Segment(*_SEGMENT_LAYOUT.unpack_from(content, position)) for position in table]
    return max([_HEADER_LAYOUT.size, *(segment.p_offset + segment.p_filesz for segment in segments)])
