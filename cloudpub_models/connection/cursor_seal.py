"""What seals the cursors of pages, so that they tell nothing and nobody else can make or change one.

AES-SIV (RFC 5297) of the library ``cryptography``, an extra: encrypted and authenticated, without a random part that
might repeat. So a page has one cursor, and two are equal where their pages begin after the same row. What a cursor
holds, and what it belongs to, is the manager's business.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any

from cloudpub_models.errors import ConfigurationError

KEY_VARIABLE = "CLOUDPUB_CURSOR_KEY"

_SMALLEST_KEY_BYTES = 32
_HOW_TO_MAKE_ONE = "make one with python -c 'import secrets; print(secrets.token_urlsafe(32))'"
# A cursor's length tells no more of its values than how many of these they take.
_BLOCK_BYTES = 64


class CursorSeal:
    """Seals with one key, and opens what was sealed with any of several.

    Args:
        keys: URL-safe base64 of at least 32 bytes each; the first seals.

    Raises:
        ConfigurationError: a key is none, or ``cryptography`` is not installed.
    """

    def __init__(self, keys: str | Sequence[str]) -> None:
        given = [keys] if isinstance(keys, str) else list(keys) if isinstance(keys, list | tuple) else [keys]
        if not given:
            raise ConfigurationError(f"expected a cursor_key or a list of some; got an empty list: {_HOW_TO_MAKE_ONE}")
        self._ciphers = [_cipher(_key_bytes(key)) for key in given]

    def seal(self, payload: bytes, belonging: bytes) -> bytes:
        """Return a text that only a holder of the key can read.

        Args:
            payload: what is sealed; blanks are put behind it.
            belonging: what it belongs to, without which it cannot be opened.
        """
        blocks = -(-len(payload) // _BLOCK_BYTES)
        sealed: bytes = self._ciphers[0].encrypt(payload.ljust(blocks * _BLOCK_BYTES), [belonging])
        return sealed

    def open(self, sealed: bytes, belonging: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            ValueError: it was not sealed with one of the keys, or belongs to something else.
        """
        from cryptography.exceptions import InvalidTag

        for cipher in self._ciphers:
            try:
                payload: bytes = cipher.decrypt(sealed, [belonging])
            except InvalidTag:
                continue
            return payload
        raise ValueError("it was not sealed with one of the keys")


def seal_from_environment() -> CursorSeal | None:
    """Return what seals with the keys that ``$CLOUDPUB_CURSOR_KEY`` names, with commas between them; none for none.

    Raises:
        ConfigurationError: see ``CursorSeal``.
    """
    named = os.environ.get(KEY_VARIABLE, "")
    return CursorSeal([key.strip() for key in named.split(",")]) if named.strip() else None


def _key_bytes(key: Any) -> bytes:
    # No message shows a key, nor a part of one.
    if not isinstance(key, str):
        raise ConfigurationError(f"expected a cursor_key of text; got {type(key).__name__}: {_HOW_TO_MAKE_ONE}")
    try:
        decoded = base64.b64decode(key.encode("ascii") + b"=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except ValueError:
        decoded = b""
    if len(decoded) < _SMALLEST_KEY_BYTES:
        raise ConfigurationError(
            f"expected a cursor_key of at least {_SMALLEST_KEY_BYTES} bytes as URL-safe base64; got a text of "
            f"{len(key)} characters that is none: {_HOW_TO_MAKE_ONE}"
        )
    return decoded


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
        from cryptography.hazmat.primitives.hashes import SHA512
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError:
        raise ConfigurationError(
            "expected the package cryptography for a cursor_key; it is not installed: "
            "pip install 'cloudpub-models[cursors]'"
        ) from None
    return AESSIV(HKDF(SHA512(), 64, salt=None, info=b"cloudpub_models cursors").derive(key))
