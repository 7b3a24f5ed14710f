"""How the code is divided: the size of folders and modules, and what a package's ``__init__.py`` contains."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from tests.architecture.source import PACKAGES, modules, modules_of, top, tree

MODULES_PER_FOLDER = 15
LINES_PER_MODULE = 400
REGULAR_PACKAGES = [name for name, path in modules().items() if path.name == "__init__.py"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_is_a_package_of_at_most_fifteen_modules(package: str) -> None:
    sizes = Counter(modules()[name].parent for name in modules_of(package))
    assert {folder: size for folder, size in sizes.items() if size > MODULES_PER_FOLDER} == {}
    assert [folder for folder in sizes if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_has_at_most_four_hundred_lines(package: str) -> None:
    lines = {name: len(modules()[name].read_text().splitlines()) for name in modules_of(package)}
    assert {name: number for name, number in lines.items() if number > LINES_PER_MODULE} == {}


@pytest.mark.parametrize("package", REGULAR_PACKAGES)
def test_an_init_says_in_one_sentence_what_the_package_is_for(package: str) -> None:
    sentence = " ".join((ast.get_docstring(tree(package)) or "").split())
    assert sentence.endswith(".")
    assert ". " not in sentence
    if top(package) != "tests":
        assert len(tree(package).body) == 1, "an __init__.py contains nothing but the docstring"
