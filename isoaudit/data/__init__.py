"""Versioned knowledge, as JSON with its provenance. Read through `isoaudit.resources.data`."""
