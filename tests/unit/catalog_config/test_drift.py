"""The words for each difference between a table and its version."""

from __future__ import annotations

import pytest

from catalog_config.drift import Difference, DifferenceType, describe


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (
            Difference(DifferenceType.UNKNOWN_COLUMN, "extra", None, "optional string", 30),
            "the column extra (field id 30, optional string) is unknown to this code, which writes it as null",
        ),
        (
            Difference(DifferenceType.UNKNOWN_REQUIRED_COLUMN, "extra", None, "required int", 30),
            "the column extra (field id 30, required int) is required but unknown to this code, so every append fails",
        ),
        (
            Difference(DifferenceType.MISSING_COLUMN, "brand", "required string", None, 5),
            "the column brand (field id 5, required string) is missing; events that have a value for it wait",
        ),
        (
            Difference(DifferenceType.CHANGED_COLUMN, "brand", "brand: required string", "label: optional string", 5),
            "field id 5 is 'label: optional string' instead of 'brand: required string'",
        ),
        (
            Difference(DifferenceType.FORMAT_VERSION, "format version", "2", "1"),
            "the format version is 1; expected 2",
        ),
        (
            Difference(DifferenceType.PROPERTY, "write.a", "zstd", None),
            "the property write.a is not set; expected zstd",
        ),
    ],
    ids=lambda value: value.type.name if isinstance(value, Difference) else "",
)
def test_a_difference_is_described_in_words(difference: Difference, words: str) -> None:
    assert describe(difference) == words
