"""What a parquet file's footer promises, decoded by hand before any library looks at its columns.

The library's own view of a column's metadata ends the whole process on some broken footers (an exception in its
compiled part that Python is never told of), and a verifier must outlive whatever it is sent. The footer is a
Thrift structure in the compact protocol: https://github.com/apache/parquet-format (FileMetaData) and
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAGIC = b"PAR1"
MAX_DEPTH = 16
MAX_VALUES = 200_000

CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW")

# Thrift's types in the compact protocol
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)


@dataclass(frozen=True)
class Chunk:
    """One column of one row group."""

    codec: str
    values: int
    unpacked_bytes: int


@dataclass(frozen=True)
class Group:
    """A row group."""

    rows: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Footer:
    """A file's rows, by its row groups."""

    rows: int
    groups: tuple[Group, ...]


def read(content: bytes) -> Footer:
    """The footer of a parquet file; ValueError where there is none, or one that we never write."""
    if len(content) < 12 or content[:4] != MAGIC or content[-4:] != MAGIC:
        raise ValueError("no parquet file")
    length = int.from_bytes(content[-8:-4], "little")
    if not 0 < length <= len(content) - 12:
        raise ValueError(f"a footer of {length} bytes")
    decoder = _Decoder(content[-8 - length : -8])
    top = decoder.value(_STRUCT, 0)
    return Footer(_number(top, 3), tuple(_group(one) for one in _items(top, 4)))


def _group(group: Any) -> Group:
    return Group(_number(group, 3), tuple(_chunk(one) for one in _items(group, 1)))


def _chunk(chunk: Any) -> Chunk:
    held = _fields(chunk)
    if 1 in held or 8 in held or 9 in held:
        raise ValueError("a column that lies in another file, or is encrypted")
    column = _fields(held.get(3))
    codec = _number(column, 4)
    name = CODECS[codec] if 0 <= codec < len(CODECS) else f"codec {codec}"
    return Chunk(name, _number(column, 5), _number(column, 6))


def _fields(value: Any) -> dict[int, Any]:
    if not isinstance(value, dict):
        raise ValueError("a footer without a part it must have")
    return value


def _number(value: Any, field: int) -> int:
    number = _fields(value).get(field)
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError("a footer without a number it must have")
    return number


def _items(value: Any, field: int) -> list[Any]:
    items = _fields(value).get(field)
    if not isinstance(items, list):
        raise ValueError("a footer without a list it must have")
    return items


class _Decoder:
    """Values of the compact protocol: structures as field number -> value; never beyond the content or the limits."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0
        self.left = MAX_VALUES

    def byte(self) -> int:
        if self.at >= len(self.content):
            raise ValueError("a footer that ends early")
        self.at += 1
        return self.content[self.at - 1]

    def bytes(self, count: int) -> bytes:
        if count > len(self.content) - self.at:
            raise ValueError("a footer that ends early")
        self.at += count
        return self.content[self.at - count : self.at]

    def unsigned(self) -> int:
        """A variable-length number: seven bits a byte, the lowest first."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a number of more than ten bytes")

    def signed(self) -> int:
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def value(self, kind: int, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            raise ValueError("a footer of too many values, or too deep")
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self.byte()
        if kind in (_I16, _I32, _I64):
            return self.signed()
        if kind == _DOUBLE:
            return self.bytes(8)
        if kind == _BINARY:
            return self.bytes(self.unsigned())
        if kind in (_LIST, _SET):
            head = self.byte()
            size = head >> 4 if head >> 4 != 15 else self.unsigned()
            return [self.item(head & 15, depth) for _ in range(size)]
        if kind == _MAP:
            size = self.unsigned()
            kinds = self.byte() if size else 0
            return [(self.item(kinds >> 4, depth), self.item(kinds & 15, depth)) for _ in range(size)]
        if kind == _STRUCT:
            return self.structure(depth)
        raise ValueError(f"a value of unknown type {kind}")

    def item(self, kind: int, depth: int) -> Any:
        """An item of a collection, where a truth value is a byte (in a structure its type says it)."""
        return self.value(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)

    def structure(self, depth: int) -> dict[int, Any]:
        found: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.signed()
            if number in found:
                raise ValueError("a field twice")
            found[number] = self.value(head & 15, depth + 1)
        return found
