"""Files to text or Parquet: what is packed is unpacked, and the encoding is found.

The boundary of the compression libraries: none of their errors leaves this module.
"""

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from pathlib import Path

from crypto_pool.adapters.providers.layouts import FORM
from crypto_pool.errors import InvalidBars

_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DECOMPRESSORS = {
    b"\x1f\x8b": ("gzip", gzip.decompress),
    b"BZh": ("bzip2", bz2.decompress),
    b"\xfd7zXZ": ("xz", lzma.decompress),
}
_MARKUP = re.compile(r"\s*<([!?/]|html|head|body)", re.I)
_UNPACKABLE = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError)


def unpack(path: Path, content: bytes) -> tuple[bytes, str]:
    """Return what a file holds once unpacked, and by what; raises InvalidBars."""
    try:
        for magic, (name, decompress) in _DECOMPRESSORS.items():
            if content.startswith(magic):
                return decompress(content), f"{name}, "
        if content.startswith(b"PK\x03\x04"):
            return _only_member(path, zipfile.ZipFile(io.BytesIO(content))), "zip, "
    except (*_UNPACKABLE, zipfile.BadZipFile) as fault:
        raise InvalidBars(
            f"{path} is packed and cannot be unpacked: {fault}; fetch or pack it again"
        ) from None
    return content, ""


def _only_member(path: Path, archive: zipfile.ZipFile) -> bytes:
    names = [n for n in archive.namelist() if not n.endswith("/") and "__MACOSX" not in n]
    if "[Content_Types].xml" in names:
        raise InvalidBars(f"{path} is an Excel workbook; save its sheet as CSV")
    if len(names) != 1:
        raise InvalidBars(f"{path} holds {len(names)} files; pack one file of bars alone")
    return archive.read(names[0])


def decode(path: Path, content: bytes) -> tuple[str, str]:
    """Return the text and its encoding; raises InvalidBars for what is no table of text."""
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "")
    if not encoding and b"\0" in content[:2]:
        encoding = "utf-16-be" if content.startswith(b"\0") else "utf-16-le"
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        # Names and numbers are ASCII, so that of the old encodings any will do.
        text = content.decode("latin-1")
        encoding = "latin-1"
    if "\0" in text or text.startswith(("\xd0\xcf\x11", "%PDF")):
        raise InvalidBars(f"{path} is no text; give CSV with the columns {FORM}, or Parquet")
    is_markup = _MARKUP.match(text)
    if is_markup or text.lstrip().startswith(("{", "[")):
        kind = "a web page or XML" if is_markup else "JSON"
        raise InvalidBars(f"{path} holds {kind}, not a table; give CSV with the columns {FORM}")
    return text, encoding or "utf-8"
