"""The schema, profiles and content hashes."""
