"""What all sections of product.yaml share: strict, frozen models, and the kinds of names in them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Column = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """`moved` explains keys that a section once took: what to write instead."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    moved: ClassVar[Mapping[str, str]] = {}


class GrownSection(Section):
    """`later` are keys that came after the first release: their defaults are left out of what is dumped, so that they make
    nothing stale that was made before."""

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        absent = {name for name in self.later if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in content.items() if name not in absent}
