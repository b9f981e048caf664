"""Addresses as they may be stored and shown."""

import re

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_SECRET_PARAMETER = re.compile(r"(?i)\b(apikey|api_key|key|token|password|secret)=[^&\s'\"]+")


def without_credentials(text: str) -> str:
    """Take what stands before the host of each URL in a text out, and its secret parameters."""
    return _SECRET_PARAMETER.sub(r"\1=***", _CREDENTIALS.sub("", text))
