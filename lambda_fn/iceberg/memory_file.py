"""Files that pyiceberg's writers make in memory, to be uploaded later."""

from __future__ import annotations

import io
from dataclasses import dataclass

from pyiceberg.io import InputFile, OutputFile, OutputStream


@dataclass(frozen=True)
class NewFile:
    """A file that is made but not uploaded."""

    location: str
    content: bytes


class MemoryFile(OutputFile):
    """An output file in memory. pyiceberg's writers ask for its length when they have closed its stream."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._content = b""

    def __len__(self) -> int:
        return len(self._content)

    def exists(self) -> bool:
        """Return False: nothing is stored at the location yet."""
        return False

    def to_input_file(self) -> InputFile:
        """Raise FileNotFoundError: nothing is stored at the location yet."""
        raise FileNotFoundError(self.location)

    def create(self, overwrite: bool = False) -> OutputStream:
        """Return the stream to write to. Its content is kept when it is closed."""
        return _MemoryStream(self)

    def keep(self, content: bytes) -> None:
        """Set the content."""
        self._content = content

    def as_new_file(self) -> NewFile:
        """Return the file for its upload."""
        return NewFile(self.location, self._content)


class _MemoryStream(io.BytesIO):
    def __init__(self, file: MemoryFile) -> None:
        super().__init__()
        self._file = file

    def close(self) -> None:
        if not self.closed:
            self._file.keep(self.getvalue())
        super().close()
