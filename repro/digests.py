"""Short digests of what JSON holds, by which a slip of the hand shows; who wants to deceive can compute one anew."""

import hashlib
import json


def digest(content: object, length: int) -> str:
    """So many hexadecimal characters of a SHA-256, whatever the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:length]
