"""State as text: where each record lies, how it is written as YAML, merged and migrated. Pure."""
