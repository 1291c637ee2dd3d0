"""A durable function, with a server embedded in this very process."""

import trio

from resonate_trio import Context, Resonate

resonate = Resonate()


@resonate.register
async def greet(ctx: Context, name: str) -> str:
    """Greet somebody, in two durable steps."""
    words = await ctx.lfc(find_words, name)
    return await ctx.lfc(add_emphasis, words)


async def find_words(name: str) -> str:
    """Find the words."""
    print("finding words")
    return f"hello {name}"


async def add_emphasis(words: str) -> str:
    """Say them louder."""
    print("adding emphasis")
    return words.upper() + "!"


async def main() -> None:
    """Greet the world twice, under one id."""
    async with resonate:
        print(await resonate.rfc("greeting-1", greet, "world"))
        print(await resonate.rfc("greeting-1", greet, "world"))


if __name__ == "__main__":
    trio.run(main)
