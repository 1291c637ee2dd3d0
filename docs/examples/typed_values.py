"""Arguments and results of your own types."""

import socket
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

import trio
from attrs import frozen

from resonate_trio import ArgumentsError, EncodingError, Resonate

resonate = Resonate()


class Currency(Enum):
    """What a price is given in."""

    EUR = "EUR"
    CHF = "CHF"


@dataclass
class Price:
    """A price."""

    amount: Decimal
    currency: Currency = Currency.EUR


@frozen
class Order:
    """What somebody wants."""

    items: list[str]
    price: Price
    due: date | None = None


@resonate.register
async def discount(order: Order, percent: int = 10) -> Price:
    """Return a lower price."""
    return Price(order.price.amount * (100 - percent) / 100, order.price.currency)


async def main() -> None:
    """Send an order, and then things that cannot be sent."""
    order = Order(["pear", "plum"], Price(Decimal("9.90")), due=date(2030, 1, 31))
    async with resonate:
        print(await resonate.rfc("discount-1", discount, order))
        with socket.socket() as connection:
            try:
                await resonate.rfc("discount-2", "discount", {"items": [connection]})
            except EncodingError as error:
                print(f"EncodingError at {error.path}")
        try:
            await resonate.rfc("discount-3", "discount", {"items": ["fig"], "price": "a lot"})
        except ArgumentsError as error:
            print(f"ArgumentsError at {error.path}: {error}")


if __name__ == "__main__":
    trio.run(main)
