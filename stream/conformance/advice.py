"""What the codecs note of odd messages that they read by a declared rule, in words, and what to do about each.

Owns the table. Must not know how often a note was made. A note that is not here is told by its name.
"""

from __future__ import annotations

from stream.conformance.shape import Severity

NOTES: dict[str, tuple[Severity, str, str]] = {
    "charset_guessed": (
        "should", "bytes beyond ASCII without a set in MSH-18: UTF-8 is tried, ISO 8859-1 taken else",
        "have the engine name the set in MSH-18, UNICODE UTF-8 at best",
    ),
    "version_absent": ("should", "MSH-12 is empty", "have the engine say the version"),
    "msh2_escape_doubled": (
        "should", "MSH-2 has its escape character twice", "have the engine send MSH-2 as it is, not escaped",
    ),
    "obx2_empty": (
        "note", "OBX-2 is empty where OBX-5 has a value: a number is read as one, all else as text",
        "have the sender name the type of each value",
    ),
    "obx2_unsupported": ("note", "OBX-2 names a document, waveform or person: nothing of it is kept", "leave it out"),
    "obx2_unknown": ("should", "OBX-2 is no type of ours: a plain number counts", "have the sender name the type"),
    "type_tolerated": ("note", "orders and the like (hl7.tolerated_types): taken, nothing of them used", "nothing"),
    "obx3_missing": ("should", "results without a code: they are passed over", "have the sender fill OBX-3"),
    "obx5_repeats": ("note", "several values in one OBX: each is a result of its own", "send an OBX for each"),
    "obx11_unknown": (
        "should", "OBX-11 is no status of table 0085: the value counts as preliminary", "correct OBX-11 at the sender",
    ),
    "obx_order_detail": ("note", "OBX-11 O: a detail of the order, no result", "nothing"),
    "obx_device_row": ("note", "rows of PCD-01 that name a device or a part of it, without a value", "nothing"),
    "obx8_unreliable": (
        "note", "OBX-8 INV, QUES or CALIB: the device does not vouch for the number, it is quarantined", "nothing",
    ),
    "obx8_not_available": ("note", "OBX-8 NAV or OFF: nothing is measured", "nothing"),
    "obx8_no_patients": (
        "must", "OBX-8 TEST or DEMO: numbers of a simulator, which are no value", "end the device's demo mode",
    ),
    "obx_same_identity": (
        "should", "two results of one message share order, code, sub-id and time: a later correction finds the first",
        "have the sender number them in OBX-4",
    ),
    "time_from_message": (
        "must", "nothing says when it was observed: MSH-7 is taken, so late charting looks fresh",
        "have the sender fill OBX-14, or OBR-7",
    ),
    "time_not_exact": ("should", "times without minutes: the start of the hour or day is taken", "send the minutes"),
    "local_time_ambiguous": (
        "note", "times in the hour that comes twice in autumn: the earlier is taken", "send an offset with each time",
    ),
    "local_time_nonexistent": (
        "should", "times in the hour that spring leaves out: the sender's zone may be another", "check the zone",
    ),
    "event_time_unreadable": (
        "should", "EVN-6 or EVN-2 is no time: the next best one is taken", "correct it at the sender",
    ),
    "evn_trigger_differs": ("should", "EVN-1 names another event than MSH-9: MSH-9 counts", "correct it at the sender"),
    "birth_date_unreadable": ("should", "PID-7 is no date: the patient counts as adult", "correct it at the sender"),
    "birth_date_with_time": ("note", "a birth date with a time of day: the date counts", "send the date alone"),
    "ethnicity_unreadable": ("note", "an ethnicity that is of no known list", "map it at the engine"),
    "sex_unknown_code": ("note", "PID-8 is not of table 0001", "map it at the engine"),
    "batch_count_mismatch": (
        "must", "BTS-1 counts other messages than there are: some may be lost", "look at how the batch is written",
    ),
    "date_only": ("should", "dates without a time: the day's start is taken", "send the time"),
    "zoneless": ("should", "date-times without the offset that FHIR wants: the set zone is used", "send it"),
    "status_unknown": ("note", "Observation.status is unknown: the value counts as preliminary", "correct it"),
    "event_time_from_sent_time": (
        "must", "an Observation without effective time: when it was stored is taken", "fill effectiveDateTime",
    ),
    "code_without_coding": ("should", "a code of text alone: it can be mapped to nothing", "send a coding"),
    "quantity_without_value": ("note", "a Quantity without a value", "send dataAbsentReason instead"),
    "value_type_unread": ("note", "a Range, Ratio, Period or SampledData: not read", "nothing"),
    "measurement_unreliable": (
        "note", "a device calls its number questionable: it is quarantined", "nothing",
    ),
    "measurement_no_patients": (
        "must", "labelled as test data (HTEST): no value", "end the device's demo mode, or take the label off",
    ),
    "device_clock": ("note", "what a wearable's clock said at its upload", "nothing"),
    "subject_departed": (
        "should", "an Encounter under way whose subject has departed: the stay goes on", "send a status that ends it",
    ),
    "history_delete": ("note", "a deletion: it names no patient, so nothing is withdrawn", "send entered-in-error"),
    "entry_without_resource": ("note", "an entry without a resource: nothing to read", "nothing"),
}  # fmt: skip
"""Note to how serious it is, what it means and what to do."""
