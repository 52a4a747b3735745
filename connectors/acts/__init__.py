"""What people do about alerts: the document, who may hand one in, and what is checked before it enters the log."""
