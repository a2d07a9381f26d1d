"""The way from a configuration to result tables: the cells, the jobs that compute them, what they leave on disk."""
