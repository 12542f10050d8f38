"""Catalog files as people write them: v1 and v2 entries and vMCPs, key for key. The rules between the fields are in
`rules`.

Keys are matched without regard to case and a null counts as absent, as Go's JSON decoder does; `document_keys` brings
a raw mapping into the spelling that these models know.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Strict
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """Strict, frozen, camelCase in the file."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


Texts = Annotated[tuple[str, ...], Strict(False)]


class AmountDocument(Document):
    """Kubernetes quantities: `50m`, `0.5`, `128Mi`."""

    cpu: str | int | float | None = None
    memory: str | int | float | None = None


class ResourcesDocument(Document):
    """What a server is promised (`requests`) and may use at most (`limits`)."""

    requests: AmountDocument = AmountDocument()
    limits: AmountDocument = AmountDocument()
