"""What an HTTP status other than 200 says of a source, and whether a wait would change it."""

_PASSING = (408, 425, 429)
_WORDS = {
    401: "asks for a key, or refuses the one it was given",
    402: "asks to be paid",
    403: "forbids the request",
    404: "has nothing at this address",
    407: "is behind a proxy that asks for a name and a password",
    410: "has nothing at this address any more",
    451: "is not allowed to answer from where you are",
}


def is_refusal(status: int) -> bool:
    """Whether the same request will meet the same answer a moment later."""
    return 300 <= status < 500 and status not in _PASSING


def in_words(status: int) -> str:
    """Return what a source does that answers by this status."""
    words = "refuses the request" if is_refusal(status) else "is out of order"
    return f"{_WORDS.get(status, words)} (HTTP status {status})"
