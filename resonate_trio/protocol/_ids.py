"""Ids: what makes one well-formed, and which origin it belongs to.

Two dialects are in use, `root:1.2` (current clients) and `root.1.2` (older ones). The server takes both.
"""

MAX_ID_LENGTH = 1024
SEPARATORS = (":", ".")


def check_id(id: str) -> str:
    """Return `id`, or raise ValueError if it is empty, too long, or holds a NUL."""
    if not id:
        raise ValueError("must not be empty")
    if len(id) > MAX_ID_LENGTH:
        raise ValueError(f"is longer than {MAX_ID_LENGTH} characters")
    if "\0" in id:
        raise ValueError("must not contain NUL")
    return id


def origin_of(id: str) -> str:
    """Return the root of the call graph of `id`: what precedes the first `:`, else the first `.`."""
    for separator in SEPARATORS:
        head, found, _ = id.partition(separator)
        if found:
            return head
    return id


def extends(id: str, ancestor: str) -> bool:
    """Tell whether `id` is `ancestor`, or lies below it in either dialect."""
    return id == ancestor or (id.startswith(ancestor) and id[len(ancestor)] in SEPARATORS)
