"""The products of the generated sales: categories, brands and price ranges of a second-hand luxury shop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Category:
    """A category: its brands, the range of listed prices, and the models that descriptions name."""

    name: str
    brands: tuple[str, ...]
    lowest_price: int
    highest_price: int
    models: tuple[str, ...]


CATEGORIES: Final = (
    Category(
        "handbags",
        ("Louis Vuitton", "Chanel", "Hermès", "Gucci", "Prada", "Bottega Veneta"),
        180,
        9_500,
        ("Speedy 30", "Classic Flap", "Evelyne III", "Jackie 1961", "Galleria", "Cassette"),
    ),
    Category(
        "shoes",
        ("Gucci", "Christian Louboutin", "Jimmy Choo", "Maison Margiela", "Loro Piana"),
        60,
        1_200,
        ("loafers", "pumps", "slingbacks", "Tabi boots", "Summer Walk"),
    ),
    Category(
        "watches",
        ("Rolex", "Omega", "Cartier", "Jaeger-LeCoultre", "TAG Heuer"),
        650,
        18_000,
        ("Datejust 36", "Seamaster", "Tank Must", "Reverso", "Carrera"),
    ),
    Category(
        "jewellery",
        ("Cartier", "Tiffany & Co.", "Van Cleef & Arpels", "Bvlgari"),
        120,
        7_200,
        ("Love bracelet", "T wire ring", "Alhambra pendant", "Serpenti ring"),
    ),
    Category(
        "coats",
        ("Max Mara", "Burberry", "Moncler", "Acne Studios", "Totême"),
        90,
        2_400,
        ("Teddy Bear coat", "Kensington trench", "Maya jacket", "wool coat", "scarf jacket"),
    ),
    Category(
        "accessories",
        ("Hermès", "Gucci", "Burberry", "Saint Laurent", "Celine"),
        35,
        900,
        ("silk scarf", "GG belt", "cashmere scarf", "card holder", "sunglasses"),
    ),
)

CONDITIONS: Final = ("new_with_tags", "like_new", "very_good", "good", "fair")
COLOURS: Final = ("black", "tan", "monogram canvas", "burgundy", "navy", "cream", "forest green", "silver-tone")
TENANTS: Final = (
    "carousel-labs",
    "vestiaire-nord",
    "second-spring",
    "maison-reprise",
    "loop-and-thread",
    "archivio-milano",
    "north-star-resale",
    "kofferraum",
)


def tenant_names(count: int) -> list[str]:
    """Return ``count`` tenant ids: the names above, then numbered ones."""
    return [TENANTS[index] if index < len(TENANTS) else f"tenant-{index + 1:03}" for index in range(count)]
