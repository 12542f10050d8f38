"""A namespace for each test on the cluster that `make test-kubernetes` has brought up or KUBECONFIG names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cluster import images, programs
from engine.cluster.places import Places, kubeconfig
from engine.console import Console
from engine.layout import layout
from tests.kubernetes.cluster import Cluster

IMAGE = "debian:bookworm-slim"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Return the cluster. Tests make and delete things on it, so it has to be asked for by name."""
    if os.environ.get("MCP_HOSTING_TEST_CLUSTER") != "1":
        pytest.skip("needs a Kubernetes cluster: `make test-kubernetes` brings one up")
    found = Cluster()
    answer = found.ask("get", "--raw", "/readyz", seconds=20)
    assert answer.code == 0, f"the cluster doesn't answer: {answer.err}"
    return found


@pytest.fixture(scope="session")
def own(cluster: Cluster) -> Places:
    """Return the places of a cluster that was built here; skips on any other."""
    here = kubeconfig(layout(ROOT, os.environ))
    if os.environ.get("KUBECONFIG") != str(here) or os.geteuid() != 0:
        pytest.skip("looks at the files and processes of a cluster that `make cluster` built, and this is another")
    return Places()


@pytest.fixture(scope="session")
def image(cluster: Cluster, own: Places) -> str:
    """Return the name of the project's base image on the cluster, moved there from Docker."""
    path = programs.search_path(os.environ)
    (name,) = images.move(own, Console(), os.environ, [IMAGE], path)
    return name


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Cluster]:
    """Return the cluster with a namespace of the test's own that enforces the restricted Pod Security Standard."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.do("create", "namespace", name)
    cluster.do("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield Cluster(name)
    cluster.do("delete", "namespace", name, "--wait=false")
