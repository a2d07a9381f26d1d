"""The result tables: their schema, where their numbers come from, outputs beside them, merging."""
