"""The contract suite that every method file must pass, and the tools around it."""

from headprune.check.base import Check, Checked, CheckFailure, CheckReport, Result
from headprune.check.isolated import FACTOR, SECONDS, LoadError, check_file

__all__ = ["FACTOR", "SECONDS", "Check", "CheckFailure", "CheckReport", "Checked", "LoadError", "Result", "check_file"]
