"""Images in the cluster without a registry: made from one program, or moved there from the Docker Engine."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.cluster.places import Places
from engine.console import Console
from engine.errors import EngineError
from engine.process import capture

NAMESPACE = "k8s.io"
DOCKER_ID = "mcp-hosting.docker-id"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def tar(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return a tar file of these names with their modes and contents; the same input gives the same bytes."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (mode, content) in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


def archive(reference: str, files: Mapping[str, tuple[int, bytes]], *, entrypoint: str, architecture: str) -> bytes:
    """Return an image with one layer as an OCI image layout in a tar file (OCI Image Format 1.0)."""
    layer = tar(files)
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, kind: str) -> dict[str, object]:
        name = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{name}"] = content
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(content)}

    layers = [blob(layer, LAYER)]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": [entrypoint], "User": "65532:65532", "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layers[0]["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(json.dumps(config).encode(), CONFIG),
        "layers": layers,
    }
    listed = blob(json.dumps(manifest).encode(), MANIFEST)
    listed["annotations"] = {"io.containerd.image.name": reference}
    whole = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode(),
        **blobs,
    }
    return tar({name: (0o644, content) for name, content in whole.items()})


def architecture() -> str:
    """Return this machine's architecture by OCI's name."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def reference(name: str, key: str) -> str:
    """Return the full name of an image that is made here; `key` distinguishes what it is made from."""
    return f"localhost/mcp-hosting/{name}:{key}"


def full_name(name: str) -> str:
    """Return an image's name as containerd and the kubelet know it: with registry, path and tag (Docker's rules)."""
    first, slash, _ = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def ctr(places: Places) -> list[str]:
    """Return the command that speaks to the cluster's containerd, in the kubelet's namespace of images."""
    return ["ctr", "--address", str(places.containerd_socket), "--namespace", NAMESPACE]


def listed(output: str) -> dict[str, str]:
    """Return, from `ctr images ls`, each image's name with the Docker image that it was moved from ("" for others)."""
    found = {}
    for line in output.splitlines()[1:]:
        words = line.split()
        if words:
            labels = dict(pair.partition("=")[::2] for pair in words[-1].split(","))
            found[words[0]] = labels.get(DOCKER_ID, "")
    return found


def present(places: Places, path: str) -> dict[str, str]:
    """Return the cluster's images. Raises EngineError when containerd doesn't answer."""
    asked = capture([*ctr(places), "images", "ls"], env={"PATH": path})
    if not asked.ok:
        raise EngineError(f"the cluster's containerd doesn't answer: {asked.err.strip()}", "make cluster")
    return listed(asked.out)


def load_program(places: Places, path: str, name: str, program: Path, *, entrypoint: str, key: str) -> str:
    """Give the cluster an image of one static program, unless it has it. Returns its name."""
    image = reference(name, key)
    if image not in present(places, path):
        files = {entrypoint.lstrip("/"): (0o755, program.read_bytes())}
        content = archive(image, files, entrypoint=entrypoint, architecture=architecture())
        done = subprocess.run(
            [*ctr(places), "images", "import", "-"],
            input=content,
            capture_output=True,
            env={"PATH": path},
        )
        if done.returncode:
            raise EngineError(f"{name}'s image can't be given to the cluster: {done.stderr.decode().strip()}")
    return image


def move(
    places: Places, console: Console, environ: Mapping[str, str], names: Sequence[str], path: str
) -> tuple[str, ...]:
    """Move images from the Docker Engine to the cluster; those that are there already stay. Returns their full names.

    Raises EngineError when Docker lacks one, or when the copy fails.
    """
    have = present(places, path)
    full = []
    for name in names:
        asked = capture(["docker", "image", "inspect", "--format", "{{.Id}}", name], env=environ)
        if not asked.ok:
            raise EngineError(f"Docker has no image {name}: {asked.err.strip()}", "build or pull it first")
        identity, target = asked.out.strip(), full_name(name)
        full.append(target)
        if have.get(target) == identity:
            continue
        with console.working("images", f"moving {name} to the cluster", 5):
            copy(places, environ, name, path)
        marked = capture([*ctr(places), "images", "label", target, f"{DOCKER_ID}={identity}"], env={"PATH": path})
        if not marked.ok:
            raise EngineError(f"{target} isn't in the cluster after the move: {marked.err.strip()}", "run it again")
    return tuple(full)


def copy(places: Places, environ: Mapping[str, str], name: str, path: str) -> None:
    """Pipe one image from Docker to containerd. Raises EngineError when either end fails."""
    saving = subprocess.Popen(
        ["docker", "save", name], env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    loading = subprocess.run(
        [*ctr(places), "images", "import", "-"], stdin=saving.stdout, capture_output=True, text=True, env={"PATH": path}
    )
    _, complaint = saving.communicate()
    if saving.returncode or loading.returncode:
        said = complaint.decode(errors="replace").strip() or loading.stderr.strip()
        raise EngineError(f"{name} can't be moved to the cluster: {said}", "run it again")
