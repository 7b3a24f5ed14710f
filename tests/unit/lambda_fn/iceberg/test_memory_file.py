"""Files that are made in memory."""

from __future__ import annotations

import pytest

from lambda_fn.iceberg.memory_file import MemoryFile, NewFile


def test_what_is_written_is_kept_when_the_stream_is_closed() -> None:
    file = MemoryFile("s3://lake/a.avro")
    stream = file.create()
    stream.write(b"abc")
    assert len(file) == 0
    stream.close()
    stream.close()
    assert len(file) == 3
    assert file.as_new_file() == NewFile("s3://lake/a.avro", b"abc")


def test_nothing_is_stored_at_the_location() -> None:
    file = MemoryFile("s3://lake/a.avro")
    assert not file.exists()
    with pytest.raises(FileNotFoundError, match=r"s3://lake/a\.avro"):
        file.to_input_file()
