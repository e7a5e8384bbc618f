"""The `people` section of product.yaml: who may take which decision. Who is who, keys and the proxy's login say."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ml_assets.spec.base_section import Section

Act = Literal["approve", "override", "rollback", "recall", "accept", "reopen", "freeze", "shadow", "erase", "restore"]
"""Decisions, by the name of their command; whoever may approve may refuse."""
NAME = r"[A-Za-z0-9_.@+-]{1,64}"
"""The names that a person may have, here, as the owner of a key, and by a proxy."""
Person = Annotated[str, Field(pattern=f"^{NAME}$")]
People = tuple[Person, ...]


class PeopleSpec(Section):
    """The people who may take each decision. One that names nobody is taken by nobody."""

    approve: People = ()
    override: People = ()
    rollback: People = ()
    recall: People = ()
    accept: People = ()
    reopen: People = ()
    freeze: People = ()
    shadow: People = ()
    erase: People = ()
    restore: People = ()

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        for act, names in self:
            if twice := [name for name, count in Counter(name.lower() for name in names).items() if count > 1]:
                raise ValueError(f"{act} names {', '.join(twice)} twice; upper and lower case are one name")
        return self

    def may(self, act: Act, person: str) -> bool:
        """Whether this person is named for the decision; upper and lower case are one name."""
        return person.lower() in {name.lower() for name in getattr(self, act)}
