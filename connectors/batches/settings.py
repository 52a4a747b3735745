"""Which folder is watched for HL7 v2 files: the `[batch]` table of `wardstream.toml`.

Owns the shape, the defaults and their reasons. Must not know a file. Nothing here changes what is decided, so none of
it enters the log.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

FILE_BYTES_LIMIT = 1024 * 1024 * 1024
"""As far as `file_bytes_max` may be raised: a file is held in memory whole."""


class BatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where files come, and when one counts as complete; without a folder none is watched.

    >>> BatchSettings().folder
    ''
    """

    folder: str = ""
    """Files put here are taken in, in order of their names, and go to its folders `done` or `failed`. One process at a
    time watches a folder, however many are told to."""
    look_s: Annotated[float, msgspec.Meta(gt=0, le=3_600)] = 2.0
    """How often the folder is looked at."""
    settle_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 5.0
    """How long a file must not have changed before it is read: who writes it may not be done."""
    incomplete_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 300.0
    """How long a file that opens a batch (FHS, BHS) and does not close it (FTS, BTS) is waited for. Then what it has is
    taken, and it goes to `failed`."""
    file_bytes_max: Annotated[int, msgspec.Meta(ge=1, le=FILE_BYTES_LIMIT)] = 64 * 1024 * 1024
    """A longer file goes to `failed` unread: some 80,000 messages."""
