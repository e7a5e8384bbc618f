"""Commands that answer an audit: lineage, integrity, reproduction, export."""
