"""What every form of a scenario file is made of: strict mappings, and values with their units."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from simcluster import units


def _quantity(dimension: units.Dimension) -> BeforeValidator:
    return BeforeValidator(lambda value: units.parse(value, dimension))


def _nonzero(dimension: units.Dimension) -> BeforeValidator:
    def parse(value: object) -> float:
        parsed = units.parse(value, dimension)
        if parsed == 0:
            raise ValueError(f"{value} is zero; it must be more")
        return parsed

    return BeforeValidator(parse)


def _written(dimension: units.Dimension) -> WithJsonSchema:
    """How an editor sees a quantity: as text with its unit."""
    return WithJsonSchema(
        {
            "type": "string",
            "pattern": units.pattern(dimension),
            "maxLength": units.LONGEST,
            "examples": units.examples(dimension),
        }
    )


def one_of(*keys: str) -> dict[str, Any]:
    """The part of a JSON Schema that says that just one of the keys is written."""
    return {"oneOf": [{"required": [key]} for key in keys]}


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of text without control characters")
    return text


Bytes = Annotated[float, _quantity("bytes"), _written("bytes")]
PositiveBytes = Annotated[float, _nonzero("bytes"), _written("bytes")]
Seconds = Annotated[float, _quantity("seconds"), _written("seconds")]
Bandwidth = Annotated[float, _nonzero("bytes/s"), _written("bytes/s")]
Peak = Annotated[float, _nonzero("FLOP/s"), _written("FLOP/s")]
Watts = Annotated[float, _quantity("watts"), _written("watts")]
PositiveWatts = Annotated[float, _nonzero("watts"), _written("watts")]
Price = Annotated[float, _nonzero("USD/h"), _written("USD/h")]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_one_line)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]
ProvenanceName = Literal["measured", "fitted", "datasheet"]


class Form(BaseModel):
    """Strict: no unknown keys, no silent conversions, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)
