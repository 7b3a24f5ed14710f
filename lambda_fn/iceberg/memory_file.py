"""Files that are made in memory by pyiceberg's writers, and uploaded by whoever wants to."""

from __future__ import annotations

import io
from dataclasses import dataclass

from pyiceberg.io import InputFile, OutputFile, OutputStream


@dataclass(frozen=True)
class NewFile:
    """A file that is made and not uploaded yet."""

    location: str
    content: bytes


class MemoryFile(OutputFile):
    """A file under construction; pyiceberg's writers ask for its length when they are done."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._content = b""

    def __len__(self) -> int:
        return len(self._content)

    def exists(self) -> bool:
        """Tell that nothing is stored yet."""
        return False

    def to_input_file(self) -> InputFile:
        """Refuse: there is nothing to read yet."""
        raise FileNotFoundError(self.location)

    def create(self, overwrite: bool = False) -> OutputStream:
        """Return the stream to write to; what it holds when it is closed is the content."""
        return _MemoryStream(self)

    def keep(self, content: bytes) -> None:
        """Set the content."""
        self._content = content

    def as_new_file(self) -> NewFile:
        """Return the file, to be uploaded."""
        return NewFile(self.location, self._content)


class _MemoryStream(io.BytesIO):
    def __init__(self, file: MemoryFile) -> None:
        super().__init__()
        self._file = file

    def close(self) -> None:
        if not self.closed:
            self._file.keep(self.getvalue())
        super().close()
