"""Deploys a rendering and says what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pulumi

from components.deploy.components import COMPONENTS
from components.deploy.contexts import write_contexts
from components.deploy.resources import Resources
from components.deploy.secret_values import SecretValues
from components.errors import Problems
from components.plan.model import HostingPlan
from components.render.docker.spec import DockerRendering

SIGN_IN = "/sign-in"


@contextmanager
def told_at_once() -> Iterator[None]:
    """Show problems as text, once, without a traceback."""
    try:
        yield
    except Problems as problems:
        raise pulumi.RunError(str(problems)) from None


def deploy(rendering: DockerRendering, values: SecretValues, root: Path) -> None:
    """Declare everything that was rendered, in its order."""
    write_contexts(rendering.images, root)
    made = Resources(values=values)
    for image in rendering.images:
        made.image(image)
    for part in rendering.parts:
        COMPONENTS[part.kind](part, made)


def export(plan: HostingPlan, values: SecretValues) -> None:
    """Export what people and machines need to use the stack."""
    gateway = plan.gateway
    logins = [user.login for user in gateway.users]
    pulumi.export("gatewayUrl", gateway.public_url)
    pulumi.export("signInUrl", gateway.public_url + SIGN_IN)
    pulumi.export("servers", {server.id: gateway.public_url + server.path for server in plan.servers})
    pulumi.export("kinds", {server.id: server.kind for server in plan.servers})
    pulumi.export("logins", logins)
    pulumi.export("passwords", pulumi.Output.secret({login: values.passwords[login] for login in logins}))


def warn(plan: HostingPlan) -> None:
    """Say what a reviewer should know: departures from what is safe by default, and what isn't pinned."""
    for text in plan.warnings:
        pulumi.log.warn(text)
    for server in plan.servers:
        for deviation in server.deviations:
            pulumi.log.warn(f"{server.id}: {deviation.name}: {deviation.reason}")
        for text in server.warnings:
            pulumi.log.warn(f"{server.id}: {text}")
