"""The contract suite that every method file must pass, and the tools around it."""

from headprune.check.base import Check, Failure, Report, Result
from headprune.check.suite import CHECKS, FACTOR, LoadError, check_file

__all__ = ["CHECKS", "FACTOR", "Check", "Failure", "LoadError", "Report", "Result", "check_file"]
