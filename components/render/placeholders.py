"""How values that an instance is started with are named, in its template and by the control side that gives them
(docs/contracts.md, section 8).
"""

from __future__ import annotations

import hashlib

from components.plan.model import Hosted
from components.plan.text import SecretRef, UserValue

_DIGEST_LENGTH = 12


def placeholder(piece: SecretRef | UserValue) -> str:
    """Return `user:KEY` or `secret:NAME`; a secret that is used with a prefix is a value of its own."""
    if isinstance(piece, UserValue):
        return f"user:{piece.key}"
    if not piece.prefix:
        return f"secret:{piece.name}"
    digest = hashlib.sha256(f"{piece.name}\0{piece.prefix}".encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"secret:{piece.name}.{digest}"


def secrets_of_hosted(run: Hosted) -> tuple[SecretRef, ...]:
    """Return the stack's secrets that what is run holds, each once, sorted by placeholder."""
    variables, files = (*run.secret_env.values(), *run.user_env.values()), tuple(file.content for file in run.files)
    texts = (*run.command, *run.args, *variables, *files)
    return tuple(sorted({secret for text in texts for secret in text.secrets}, key=placeholder))
