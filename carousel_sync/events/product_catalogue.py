"""The products of the generated sales, from product_catalogue.json: those of a second-hand luxury shop."""

from __future__ import annotations

from importlib import resources
from typing import Final

from pydantic import BaseModel


class Category(BaseModel):
    """A category: its brands, the lowest and the highest listed price, and the models that descriptions name."""

    name: str
    brands: list[str]
    prices: tuple[float, float]
    models: list[str]


class Catalogue(BaseModel):
    """Categories, the conditions of products with their weights, colours, and the ids of the first tenants."""

    categories: list[Category]
    conditions: dict[str, int]
    colours: list[str]
    tenants: list[str]


CATALOGUE: Final = Catalogue.model_validate_json(
    resources.files(__package__).joinpath("product_catalogue.json").read_bytes()
)
