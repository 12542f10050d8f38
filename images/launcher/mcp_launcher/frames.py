"""The engine's stream of a container's two outputs: frames of eight bytes of head and a text.

Source: Docker Engine API 1.41, `ContainerAttach`, "Stream format".
"""

from collections.abc import Callable, Iterator

LONGEST_LINE = 65_536
_HEAD = 8


def texts(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the texts of both outputs as they come. `read` returns at most so many bytes, none at the end.

    A stream that breaks off within a frame ends like one that is complete.
    """
    while True:
        head = _exactly(read, _HEAD)
        if len(head) < _HEAD:
            return
        left = int.from_bytes(head[4:], "big")
        while left:
            text = read(min(left, LONGEST_LINE))
            if not text:
                return
            left -= len(text)
            yield text


def lines(read: Callable[[int], bytes]) -> Iterator[str]:
    """Yield lines without their breaks; one that is longer than 64 KiB is cut in pieces."""
    rest = b""
    for text in texts(read):
        *whole, rest = (rest + text).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")
        if len(rest) > LONGEST_LINE:
            yield rest.decode("utf-8", "replace")
            rest = b""
    if rest:
        yield rest.decode("utf-8", "replace")


def _exactly(read: Callable[[int], bytes], count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = read(count - len(found))
        if not part:
            break
        found += part
    return found
