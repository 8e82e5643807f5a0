"""Has streams read again, by a change of the state that touches nothing else, not even a blank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.instants import bookmark_text, in_utc
from tap_acumatica.reading.bookmarks import COLUMNS, UNDATED, VALUE, WAS_READ, require_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

MELTANO: Final = "singer_state"
"""Key under which Meltano keeps the state of an extractor."""

Parts = dict[str, msgspec.Raw]

_PARTS: Final = msgspec.json.Decoder(Parts)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


def reread(
    text: bytes, streams: Iterable[str], tenant: str | None = None, since: datetime | None = None
) -> tuple[bytes, list[str]]:
    """Return a state with which streams are read again, and the streams that changes nothing for.

    Args:
        text: The state, or what `meltano state get` prints.
        streams: Names of streams, or the ends of their names.
        tenant: The tenant in which they are read again; None: in all.
        since: The instant from which they are read; None: from the beginning.

    Raises:
        SettingsError: It is no state, or does not have the stream or tenant.
    """
    try:
        whole = _PARTS.decode(text)
        state = _PARTS.decode(whole[MELTANO]) if MELTANO in whole else whole
        require_shape(msgspec.json.decode(msgspec.json.encode(state)))
        bookmarks = _PARTS.decode(state["bookmarks"]) if "bookmarks" in state else {}
    except msgspec.DecodeError as error:
        message = (
            f"The state cannot be read ({error}): pass it as the target or meltano state get "
            "wrote it."
        )
        raise SettingsError(message) from error
    unchanged = []
    for name in streams:
        stream = _named(name, bookmarks)
        entry = _entry(stream, bookmarks[stream], tenant, since)
        if entry is None:
            unchanged.append(stream)
        else:
            bookmarks[stream] = entry
    if "bookmarks" in state:
        state["bookmarks"] = _raw(bookmarks)
    return msgspec.json.encode({**whole, MELTANO: state} if MELTANO in whole else state), unchanged


def _named(name: str, bookmarks: Parts) -> str:
    """Return the stream of a name, or of the end of one, in any case.

    Raises:
        SettingsError: There is none, or there are several.
    """
    wanted = name.casefold()
    found = [stream for stream in bookmarks if stream.casefold() == wanted]
    found = found or [stream for stream in bookmarks if stream.casefold().endswith(f"_{wanted}")]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(found or bookmarks))
    message = f"The state has not one stream {name}: name one of those that it has ({names})."
    raise SettingsError(message)


def _entry(
    stream: str, text: msgspec.Raw, tenant: str | None, since: datetime | None
) -> msgspec.Raw | None:
    """Return the changed entry of a stream; None if there is nothing to change."""
    entry = _PARTS.decode(text)
    if "partitions" not in entry:
        if tenant is not None:
            message = f"The state of {stream} knows no tenants: leave --tenant out."
            raise SettingsError(message)
        return _raw(entry) if _change(entry, since) else None
    partitions = _LIST.decode(entry["partitions"])
    changed, known = False, []
    for index, partition in enumerate(partitions):
        part = _PARTS.decode(partition)
        names = list(_tenants(part))
        known += names
        wanted = tenant is None or tenant.casefold() in map(str.casefold, names)
        if wanted and _change(part, since):
            partitions[index], changed = _raw(part), True
    if tenant is not None and tenant.casefold() not in map(str.casefold, known):
        message = (
            f"The state of {stream} does not know the tenant {tenant}: name one of its "
            f"tenants ({', '.join(known)})."
        )
        raise SettingsError(message)
    entry["partitions"] = _raw(partitions)
    return _raw(entry) if changed else None


def _tenants(part: Parts) -> Iterator[str]:
    yield from map(str, msgspec.json.decode(part["context"]).values())


def _change(part: Parts, since: datetime | None) -> bool:
    """Move a bookmark back, or remove it; return whether there was one to move."""
    if VALUE not in part:
        return False
    if since is None:
        for name in (VALUE, "replication_key", UNDATED, COLUMNS):
            part.pop(name, None)
        # The rows are still missed if they are refused.
        part[WAS_READ] = _raw(True)  # noqa: FBT003 - a value
        return True
    if since >= in_utc(msgspec.json.decode(part[VALUE])):
        return False
    part[VALUE] = _raw(bookmark_text(since))
    return True


def _raw(value: Any) -> msgspec.Raw:  # noqa: ANN401 - any JSON
    return msgspec.Raw(msgspec.json.encode(value))
