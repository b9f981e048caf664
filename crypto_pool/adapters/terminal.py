"""The terminal: text from outside shows there, and does nothing else."""

import logging
import re
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters, those that turn the order of what follows, and halves of letters.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_unseen(text: str) -> str:
    """Write what cannot be seen as JSON does, so that a document stays the same."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Terminal(Console):
    """A console that takes no markup for such, unless it is told to, and escapes what is unseen."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, **options)
        if not self.width:  # as COLUMNS=0 has it, and then nothing would show
            self.width = 80

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Give the segments of what is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escape_unseen(text), style, control)


class PlainFormatter(logging.Formatter):
    """Formats what is logged for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with what is unseen in it escaped."""
        return escape_unseen(super().format(record))
