"""The errors that are the operator's to mend.

Owns the list. Must not know how they are shown. Anything else that is raised is our bug and shows its traceback.
"""

from __future__ import annotations

import sqlite3

from connectors.kafka.faults import BrokerError, ConnectionSettingsError
from connectors.local.processes import LocalError
from connectors.sources import SourceError
from connectors.sqlite.backup import BackupError
from connectors.sqlite.journal import JournalError
from stream.comparing.runs import RunError
from stream.settings import ConfigurationError
from stream.versions import NoSuchVersionError

USAGE_FAULTS = (SourceError, NoSuchVersionError, ConfigurationError, ConnectionSettingsError, RunError)
"""Something named on the command line is not there or is not what it should be: exit code 2."""
OPERATOR_FAULTS = (JournalError, BackupError, BrokerError, LocalError, sqlite3.OperationalError, OSError)
"""Something the command stands on is broken: exit code 1."""
