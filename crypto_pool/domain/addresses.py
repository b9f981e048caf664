"""Addresses: as they may be stored and shown, and whose they are."""

import html
import ipaddress
import json
import re
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import quote, quote_plus

_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_SECRET_PARAMETER = re.compile(r"(?i)\b(apikey|api_key|key|token|password|secret)=[^&\s'\"]+")


def spellings(secret: str) -> list[str]:
    """Return a secret as it is written in texts, addresses, JSON and pages, the longest first."""
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    forms |= {json.dumps(secret)[1:-1], html.escape(secret)}
    return sorted(forms - {""}, key=len, reverse=True)


def without_credentials(text: str) -> str:
    """Take what stands before the host of each URL in a text out, and its secret parameters."""
    return _SECRET_PARAMETER.sub(r"\1=***", _CREDENTIALS.sub("", text))


@lru_cache(maxsize=1024)
def is_loopback(host: str | None) -> bool:
    """Whether an address or name is this machine's own and reached by nobody else."""
    try:
        return ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_one_of(host: str, names: Collection[str]) -> bool:
    """Whether a host is one of these names, of which `*.example.com` is each below it."""
    return host in names or any(host.endswith(one[1:]) for one in names if one.startswith("*."))
