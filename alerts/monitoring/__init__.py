"""Monitoring of absence: what a ward, a feed or a patient no longer says, and what a feed began to say otherwise.

Owns the signals and the fold that makes them. Must not know hosts, stores or topics: time is the log's own, and nothing
here changes a score, a verdict or an alert. See docs/monitoring.md.
"""

from alerts.monitoring.configuration import MonitoringSettings
from alerts.monitoring.monitor import MONITOR_KEY, Monitor, monitor_keys
from alerts.monitoring.signal import Signal, decode_signal, encode_signal

__all__ = [
    "MONITOR_KEY",
    "Monitor",
    "MonitoringSettings",
    "Signal",
    "decode_signal",
    "encode_signal",
    "monitor_keys",
]
