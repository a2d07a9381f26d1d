"""The types of a profile's values, and what all of its sections have in common."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)


def whole(value: Any) -> Any:
    """A whole number; its digits as text, too, which is what snakemake makes of `--config seeds=[1,2]`."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value.strip()):
        return int(value)
    return value


def distinct(values: list[int]) -> list[int]:
    """:raises ValueError: no values, a repeated, a negative or a huge one."""
    if not values:
        raise ValueError("must have at least one number")
    if twice := [value for value, times in Counter(values).items() if times > 1]:
        raise ValueError(f"{twice[0]} stands there twice; numbers must be distinct")
    if min(values) < 0:
        raise ValueError(f"{min(values)} must not be negative")
    if max(values) >= 2**31:
        raise ValueError(f"{max(values)} must be less than 2^31")
    return values


Whole = Annotated[int, Strict(), BeforeValidator(whole)]
_NUMBER = WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 2**31 - 1})  # as `distinct` has it
Numbers = Annotated[list[Annotated[Whole, _NUMBER]], Field(max_length=1000), AfterValidator(distinct)]

Name = Annotated[str, Field(max_length=100)]  # of what becomes a part of file names
Label = Annotated[str, Field(max_length=400)]  # of an entry, or a pattern of labels
Text = Annotated[str, Field(max_length=1000)]  # a path, or an address

UPDATES = 10**8  # a hundred times the longest trainings of the field
TOKENS = 10**7  # of a batch, or of a text that is read at once
EXAMPLES = 10**9  # more than any corpus has


class Section(BaseModel):
    """A part of the configuration: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _number_or_not(cls, value: Any, info: ValidationInfo) -> Any:
        """A truth value is no number, though Python counts with it; a huge number is told its limit as any other is."""
        if isinstance(value, float) and abs(value) >= 2**53 and value.is_integer():
            return int(value)
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in (kind, *get_args(kind)):
            raise ValueError("true and false are values of other keys")
        return value
