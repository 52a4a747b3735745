"""SOURCE arguments: files, folders, archives and data sets, opened as streams of arrivals in order of received time.

Owns the reading of whatever `replay` and `evaluate` are pointed at. Must not know what is done with an arrival.
"""

from connectors.sources.arrival import Arrival, Source, SourceError, SourceSettings
from connectors.sources.grouping import group_arrivals
from connectors.sources.opening import open_source

__all__ = ["Arrival", "Source", "SourceError", "SourceSettings", "group_arrivals", "open_source"]
