"""The errors that are the operator's to mend.

Owns the list. Must not know how they are shown. Anything else that is raised is our bug and shows its traceback.
"""

from __future__ import annotations

from connectors.sources import SourceError
from connectors.sqlite.journal import JournalError
from stream.settings import ConfigurationError
from stream.versions import NoSuchVersionError

OPERATOR_FAULTS = (SourceError, JournalError, ConfigurationError, NoSuchVersionError, OSError)
