"""The files of a data set as they were when it was begun: going on needs no network, and meets no other files."""

import hashlib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from repro import paths
from repro.data.files.inputs import Listing
from repro.data.files.listing import listed
from repro.recipe.sources import Source

_LISTING = TypeAdapter(Listing)


def remembered(source: Source) -> Listing:
    """The listing of ``source``, asked for once and kept below ``$REPRO_DATA/listings``; remove it there to ask again.

    Raises:
        DataError: it cannot be listed.
    """
    path = _path(source)
    if there := _read(path):
        return there
    listing = listed(source)
    paths.write_whole(path, _LISTING.dump_json(listing))
    return listing


def _path(source: Source) -> Path:
    """Of one manifest: another revision or pattern is listed anew."""
    digest = hashlib.sha256(source.model_dump_json().encode()).hexdigest()
    return paths.prepared() / "listings" / f"{source.name}-{digest[:12]}.json"


def _read(path: Path) -> Listing | None:
    """None where there is none, or one of another version."""
    if not path.is_file():
        return None
    try:
        return _LISTING.validate_json(path.read_bytes())
    except ValidationError:
        return None
