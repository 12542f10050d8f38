"""Set-up: every part found or made, in the order in which they need each other."""

from __future__ import annotations

import os
from dataclasses import dataclass

from engine import base_image, docker_engine, docker_provider, pulumi_cli, pulumi_env, python_env
from engine.console import Console
from engine.docker_engine import Docker
from engine.docker_provider import Provider
from engine.errors import EngineError
from engine.layout import Layout
from engine.pulumi_cli import Cli


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A machine on which the project can be deployed. `env` is the environment that its commands run in."""

    layout: Layout
    env: dict[str, str]
    cli: Cli
    provider: Provider
    docker: Docker

    def summary(self) -> str:
        """Return one line that says what is in use."""
        pulumi = f"Pulumi {self.cli.version}" + (" (built from source)" if self.cli.built else "")
        provider = "its docker plugin" if self.provider.real else "the stand-in docker provider"
        return f"{pulumi} with {provider}, Docker {self.docker.version}"


def environment(layout: Layout, cli: Cli, provider: Provider, docker_host: str | None) -> dict[str, str]:
    """Return the variables that a shell needs besides its own so that `pulumi` works in it."""
    path = [place for place in (cli.directory if cli.built else None, provider.path) if place]
    return pulumi_env.variables(
        layout, os.environ, path=path, docker_host=docker_host, login=pulumi_env.logged_in(os.environ)
    )


def ensure(layout: Layout, console: Console) -> Ready:
    """Bring the machine to where the project can be deployed. Does nothing, quickly, when it is there already."""
    python_env.ensure(layout, console)
    docker = docker_engine.ensure(layout, console, os.environ)
    host = {"DOCKER_HOST": docker.host} if docker.host else {}
    base_image.ensure(layout, console, {**os.environ, **host})
    cli = pulumi_cli.ensure(layout, console, os.environ)
    provider = docker_provider.ensure(layout, console, os.environ, cli.directory / "pulumi")
    pulumi_env.ensure(layout, os.environ)
    env = {**os.environ, **environment(layout, cli, provider, docker.host)}
    return Ready(layout=layout, env=env, cli=cli, provider=provider, docker=docker)


def found(layout: Layout) -> dict[str, str]:
    """Return the environment's variables without setting anything up. Raises EngineError when a part is missing."""
    cli, reason = pulumi_cli.find(layout, os.environ)
    provider = docker_provider.find(layout, os.environ)
    if cli is None or provider is None:
        raise EngineError(f"set-up isn't complete: {reason or 'no docker provider chosen'}", "make setup")
    docker = docker_engine.find(os.environ)
    return environment(layout, cli, provider, docker.host if isinstance(docker, Docker) else None)
