"""What images are made of: Dockerfiles from templates, contexts from files passed in, tags from digests of both."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from jinja2 import DictLoader, Environment, StrictUndefined

from components.hardening import GATEWAY_UID
from components.plan.model import HostingPlan, Image, LocalFolderImage, NpxImage, PulledImage, StartImage, UvxImage
from components.render.docker.spec import ImageSpec

Sources = Mapping[str, bytes]
"""Path relative to the project's root -> content: `templates/images/`, `images/`, and the folders of local images."""

REPOSITORY = "mcp-hosting"
TEMPLATES = "templates/images/"
CONTEXTS = "build/images"
GATEWAY_FOLDERS = ("/state", "/keys", "/run/gateway", "/delivery", "/audit")
LAUNCHER_FOLDER = "/run/launcher"
_DIGEST_LENGTH = 12
_NAME_LENGTH = 60
_PACKAGE_FILES = ("__pycache__", ".pyc", ".pyo")


class Images:
    """The images that a plan needs, each made once; `specs` has them in the order of building."""

    def __init__(self, plan: HostingPlan, sources: Sources) -> None:
        """Nothing is made before it is asked for."""
        self._plan = plan
        self._sources = sources
        self._specs: dict[str, ImageSpec] = {}
        self._templates = Environment(
            loader=DictLoader(
                {path.removeprefix(TEMPLATES): text.decode() for path, text in sources.items() if path.endswith(".j2")}
            ),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701 - Dockerfiles; what comes from a catalog is put in as JSON
        )
        self._templates.filters["tojson"] = json.dumps

    @property
    def specs(self) -> tuple[ImageSpec, ...]:
        """All images that were asked for, each after those that it is based on."""
        return tuple(self._specs.values())

    @cached_property
    def python(self) -> str:
        """Python and nothing else; all others are based on it."""
        return self._built("python", {}, (), base=self._plan.base_image)

    def script(self, name: str) -> str:
        """The text of a script among the templates."""
        return self._sources[TEMPLATES + name].decode()

    @cached_property
    def gateway(self) -> str:
        """The edge, the control side and delivery."""
        builder, python = self._builder, self.python
        files = {"requirements.txt": self._sources["images/gateway/requirements.txt"]}
        files |= self._packages("gateway/mcp_gateway", "wire/mcp_wire") | self._template_files("ready.sh")
        return self._built(
            "gateway",
            files,
            (builder, python),
            builder=builder,
            python=python,
            uid=GATEWAY_UID,
            folders=GATEWAY_FOLDERS,
            launcher_folder=LAUNCHER_FOLDER,
        )

    @cached_property
    def launcher(self) -> str:
        """The only part with the engine's socket."""
        python = self.python
        return self._built("launcher", self._packages("launcher/mcp_launcher"), (python,), python=python)

    def server(self, image: Image) -> str:
        """The image of a server; the reference itself when a registry has it."""
        match image:
            case PulledImage(reference=reference):
                return reference
            case LocalFolderImage(reference=reference, context=context):
                return self._local(reference, context)
            case StartImage():
                builder, runtime = self._builder, self._runtime_python
                return self._built("runtime-start", {}, (builder, runtime), builder=builder, runtime_python=runtime)
            case NpxImage(package=package):
                builder, runtime = self._builder, self._runtime_node
                return self._built(
                    "npx", {}, (builder, runtime), of=package, builder=builder, runtime=runtime, package=package
                )
            case UvxImage(requirement=requirement, command=command, constraints=constraints):
                builder, runtime = self._builder, self._runtime_python
                return self._built(
                    "uvx",
                    {"constraints.txt": "".join(f"{line}\n" for line in constraints).encode()} if constraints else {},
                    (builder, runtime),
                    of=requirement,
                    builder=builder,
                    runtime=runtime,
                    package=requirement,
                    command=command,
                    constraints=constraints,
                )

    @cached_property
    def _builder(self) -> str:
        python = self.python
        files = self._template_files("builder-requirements.txt", "link-server.mjs", "link-server.py")
        return self._built("builder", files, (python,), python=python, node=self._plan.node_version)

    @cached_property
    def _runtime_python(self) -> str:
        builder, python = self._builder, self.python
        files = {"requirements.txt": self._sources["images/runner/requirements.txt"]}
        files |= self._packages("runner/mcp_runner", "wire/mcp_wire") | self._template_files("ready.sh")
        return self._built("runtime-python", files, (builder, python), builder=builder, python=python)

    @cached_property
    def _runtime_node(self) -> str:
        builder, runtime = self._builder, self._runtime_python
        return self._built("runtime-node", {}, (builder, runtime), builder=builder, runtime_python=runtime)

    def _built(
        self, template: str, files: Mapping[str, bytes], based_on: tuple[str, ...], *, of: str = "", **values: object
    ) -> str:
        dockerfile = self._templates.get_template(f"{template}.Dockerfile.j2").render(**values)
        context = {"Dockerfile": dockerfile.encode()} | dict(sorted(files.items()))
        # Readable only: what tells images apart is the digest.
        name = re.sub(r"[^a-z0-9]+", "-", f"{template} {of}".lower())[:_NAME_LENGTH].strip("-")
        tag = digest(context.items())
        reference = f"{REPOSITORY}/{name}:{tag}"
        self._specs.setdefault(
            reference,
            ImageSpec(name=reference, context=f"{CONTEXTS}/{name}-{tag}", files=context, based_on=based_on),
        )
        return reference

    def _local(self, reference: str, context: str) -> str:
        repository, _, tag = reference.rpartition(":")
        name = f"{repository}:{tag[:100]}-{digest(self._below(context.rstrip('/') + '/'))}"
        self._specs.setdefault(name, ImageSpec(name=name, context=context))
        return name

    def _packages(self, *folders: str) -> dict[str, bytes]:
        return {
            f"packages/{folder.rpartition('/')[2]}/{path}": content
            for folder in folders
            for path, content in self._below(f"images/{folder}/")
        }

    def _template_files(self, *names: str) -> dict[str, bytes]:
        return {name: self._sources[TEMPLATES + name] for name in names}

    def _below(self, folder: str) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self._sources):
            if path.startswith(folder) and not any(part in path for part in _PACKAGE_FILES):
                yield path.removeprefix(folder), self._sources[path]


def digest(files: Iterable[tuple[str, bytes]]) -> str:
    """Return a short digest of paths and contents."""
    total = hashlib.sha256()
    for path, content in sorted(files):
        total.update(f"{len(path)}:{path}:{len(content)}:".encode())
        total.update(content)
    return total.hexdigest()[:_DIGEST_LENGTH]
