"""Which cluster is meant, what is built from what, what runs, what is left behind, and images without a registry."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import go_build, gvisor_runtime, kubernetes_provider
from engine.cluster import chosen, images, look, network, parts, processes, programs, removal, starting
from engine.cluster.places import Places, kubeconfig
from engine.errors import EngineError
from engine.go_build import GoBuild
from engine.layout import Layout, layout
from engine.versions import go_directive

ROOT = Path(__file__).parents[3]
KIND = "apiVersion: v1\nkind: Config\ncurrent-context: kind-kind\ncontexts: []\n"


@pytest.fixture
def paths(tmp_path: Path) -> Layout:
    return layout(ROOT, {"HOME": str(tmp_path)})


def at_home(tmp_path: Path, content: str) -> Path:
    file = tmp_path / ".kube" / "config"
    file.parent.mkdir()
    file.write_text(content)
    return file


@pytest.mark.parametrize(
    ("content", "context"),
    [
        (KIND, "kind-kind"),
        ('{"current-context": "k3d", "kind": "Config"}', ""),
        ('{\n  "current-context": "k3d",\n  "kind": "Config"\n}', "k3d"),
        ('current-context: ""\n', ""),
        ("current-context: 'a'\n", "a"),
        ("kind: Config\n", ""),
    ],
)
def test_a_kubeconfigs_context_is_read_without_a_yaml_parser(content: str, context: str) -> None:
    assert chosen.current_context(content) == context


def test_without_a_kubeconfig_the_cluster_is_the_engines(paths: Layout, tmp_path: Path) -> None:
    assert chosen.foreign(paths, {"HOME": str(tmp_path)}) is None


def test_a_users_cluster_is_seen_but_used_only_when_it_is_named(paths: Layout, tmp_path: Path) -> None:
    file = at_home(tmp_path, KIND)
    seen = chosen.foreign(paths, {"HOME": str(tmp_path)})
    named = chosen.foreign(paths, {"HOME": str(tmp_path), "KUBECONFIG": str(file)})
    assert seen == chosen.Foreign(file=file, context="kind-kind", asked=False)
    assert named == chosen.Foreign(file=file, context="kind-kind", asked=True)


def test_the_engines_own_kubeconfig_names_no_other_cluster(paths: Layout, tmp_path: Path) -> None:
    at_home(tmp_path, KIND)
    assert chosen.foreign(paths, {"HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig(paths))}) is None


def test_a_named_kubeconfig_that_is_not_there_is_an_error_and_not_overlooked(paths: Layout, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no such file"):
        chosen.foreign(paths, {"HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(
    ("root", "system", "part"), [(True, "Linux", ""), (False, "Linux", "takes root"), (True, "Darwin", "Linux only")]
)
def test_where_a_cluster_cannot_be_built_it_says_why(root: bool, system: str, part: str) -> None:
    why = starting.refusal(root=root, system=system)
    assert part in why
    assert bool(why) == bool(part)


def source(place: Path) -> GoBuild:
    for name in ("go.mod", "go.sum", "main.go"):
        (place / name).write_text(name)
    return GoBuild(name="thing", what="a thing", source=place, programs=((".", "thing"),), seconds=1)


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_a_builds_key_follows_what_it_is_made_from(tmp_path: Path, name: str) -> None:
    build = source(tmp_path)
    before = go_build.key(build)
    assert go_build.key(build) == before
    (tmp_path / name).write_text("other")
    assert go_build.key(build) != before


def test_a_build_steps_back_behind_other_work_when_asked_to(tmp_path: Path) -> None:
    build = source(tmp_path)
    usual = go_build.command(build, tmp_path, {})
    quiet = go_build.command(build, tmp_path, {"MCP_HOSTING_QUIET": "1"})
    assert "-p" not in usual
    assert quiet[:5] == ["nice", "-n", "19", "ionice", "-c3"]
    assert quiet[quiet.index("-p") + 1] == "1"


def test_every_build_has_locked_modules_and_checked_sums(paths: Layout) -> None:
    every = [*programs.builds(paths).values(), gvisor_runtime.build(paths), kubernetes_provider.build(paths)]
    assert len({build.name for build in every}) == len(every)
    for build in every:
        assert go_directive(build.source / "go.mod") >= (1, 26)
        imports = build.name != "pause"
        assert (build.source / "go.sum").exists() == imports


def test_kubernetes_knows_its_version_and_its_modules_agree_with_it() -> None:
    variables = dict(programs.version_variables(programs.KUBERNETES))
    assert variables["k8s.io/component-base/version.gitVersion"] == f"v{programs.KUBERNETES}"
    go_mod = (ROOT / "engine" / "kubernetes" / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{programs.KUBERNETES}" in go_mod
    staging = programs.KUBERNETES.replace("1.", "v0.", 1)
    assert f"k8s.io/api => k8s.io/api {staging}" in go_mod


def test_a_process_is_known_by_its_start_not_by_its_number_alone() -> None:
    ticks = processes.started_at(os.getpid())
    assert ticks is not None
    same = processes.Record(name="etcd", pid=os.getpid(), started=ticks, key="")
    other = processes.Record(name="etcd", pid=os.getpid(), started=ticks + 1, key="")
    assert (processes.alive(same), processes.alive(other)) == (True, False)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=15))
def test_a_processs_start_is_read_whatever_its_name(name: str) -> None:
    rest = " ".join(["S", *map(str, range(4, 22)), "4711", *map(str, range(23, 53))])
    assert processes.start_ticks(f"17 ({name}) {rest}") == 4711


def test_a_part_is_started_recorded_found_and_ended(tmp_path: Path) -> None:
    part = parts.Part(name="sleeper", argv=("sleep", "600"))
    record = processes.start(tmp_path, tmp_path / "logs", part, "key", dict(os.environ))
    try:
        assert processes.recorded(tmp_path) == {"sleeper": record}
        assert processes.alive(record)
    finally:
        processes.stop(tmp_path, record)
    assert not processes.alive(record)
    assert processes.recorded(tmp_path) == {}


def test_a_part_that_ends_at_once_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    part = parts.Part(name="broken", argv=("sh", "-c", "echo no such flag >&2; exit 1"))
    record = processes.start(tmp_path, tmp_path / "logs", part, "key", dict(os.environ))
    with pytest.raises(EngineError, match="no such flag"):
        processes.until(lambda: False, what="broken", seconds=30, record=record, log=tmp_path / "logs" / "broken.log")


def test_only_what_is_mounted_for_the_cluster_is_unmounted_the_last_first() -> None:
    lines = [
        r"1 0 8:1 / / rw - ext4 /dev/sda rw",
        r"2 1 8:1 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw",
        r"3 1 8:1 / /var/lib/mcp/kubelet/pods/a\040b rw - tmpfs tmpfs rw",
        r"4 3 8:1 / /var/lib/mcp/kubelet/pods/a\040b/volume rw - tmpfs tmpfs rw",
        r"5 1 8:1 / /var/lib/mcp-other/x rw - tmpfs tmpfs rw",
    ]
    found = removal.mounted_below("\n".join(lines), [Path("/var/lib/mcp")])
    assert found == ["/var/lib/mcp/kubelet/pods/a b/volume", "/var/lib/mcp/kubelet/pods/a b"]


def test_only_shims_of_the_clusters_containerd_are_ended() -> None:
    ours, dockers = "/run/mcp/containerd.sock", "/var/run/docker/containerd/containerd.sock"
    commands = {
        1: f"/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-address\0{ours}\0",
        2: f"/usr/bin/containerd-shim-runc-v2\0-namespace\0moby\0-address\0{dockers}\0",
        3: f"/usr/bin/vim\0{ours}\0",
        4: "",
    }
    assert removal.shims(ours, commands) == [1]


def test_every_part_is_ended_by_name() -> None:
    place = Path("/x")
    every = programs.Programs(
        **dict.fromkeys(("kubernetes", "kube_router", "coredns", "volumes"), place),
        **dict.fromkeys(("pause", "etcd", "containerd", "plugins"), place),
        path="",
    )
    started = [part.name for part in parts.everything(every, Places(), place, network.of(197))]
    assert sorted(started) == sorted(removal.ORDER)


@pytest.mark.parametrize(
    ("ended", "well", "part"),
    [([], True, "parts"), (["kubelet"], False, "not running: kubelet"), (list(removal.ORDER), False, "not running")],
)
def test_doctor_names_the_parts_that_have_ended(ended: list[str], well: bool, part: str) -> None:
    seen = look.judged({name: name not in ended for name in removal.ORDER}, "kubeconfig")
    assert seen.well is well
    assert part in seen.detail
    assert bool(seen.remedy) is not well


def test_doctor_says_what_a_cluster_would_take(paths: Layout, tmp_path: Path) -> None:
    seen = look.look(paths, {"HOME": str(tmp_path), "PATH": ""}, Places(state=tmp_path / "none", run=tmp_path / "no"))
    assert "Kubernetes 1.34" in seen.detail
    assert seen.remedy == "make cluster"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("server", "docker.io/library/server:latest"),
        ("server:1", "docker.io/library/server:1"),
        ("team/server:1", "docker.io/team/server:1"),
        ("localhost/server:1", "localhost/server:1"),
        ("registry.example.org/a/b", "registry.example.org/a/b:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("a@sha256:00", "docker.io/library/a@sha256:00"),
    ],
)
def test_a_name_is_completed_as_the_kubelet_does(name: str, full: str) -> None:
    assert images.full_name(name) == full


def test_an_image_is_told_from_its_labels() -> None:
    listed = (
        "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
        "docker.io/library/a:1 application/x sha256:1 1.0 MiB linux/amd64 io.cri-containerd.image=managed,"
        "mcp-hosting.docker-id=sha256:2 \n"
        "localhost/b:1 application/x sha256:3 1.0 MiB linux/amd64 io.cri-containerd.image=managed \n"
    )
    assert images.listed(listed) == {"docker.io/library/a:1": "sha256:2", "localhost/b:1": ""}


def test_a_made_image_is_a_whole_oci_layout_and_the_same_each_time() -> None:
    def make() -> bytes:
        return images.archive("localhost/a:1", {"a": (0o755, b"program")}, entrypoint="/a", architecture="amd64")

    assert make() == make()
    with tarfile.open(fileobj=io.BytesIO(make())) as archive:
        held = {entry.name: (archive.extractfile(entry) or io.BytesIO()).read() for entry in archive}
    blobs = {name.rpartition("/")[2]: content for name, content in held.items() if name.startswith("blobs/")}
    assert all(hashlib.sha256(content).hexdigest() == name for name, content in blobs.items())

    def blob(description: dict[str, str]) -> bytes:
        return blobs[description["digest"].removeprefix("sha256:")]

    (listed,) = json.loads(held["index.json"])["manifests"]
    assert listed["annotations"] == {"io.containerd.image.name": "localhost/a:1"}
    manifest = json.loads(blob(listed))
    config = json.loads(blob(manifest["config"]))
    assert config["config"]["Entrypoint"] == ["/a"]
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    with tarfile.open(fileobj=io.BytesIO(blob(manifest["layers"][0]))) as layer:
        assert [(entry.name, entry.mode) for entry in layer] == [("a", 0o755)]


@pytest.mark.parametrize(
    ("cached", "on_path", "built", "refused", "why"),
    [
        (True, True, Path("/b"), "x", "Pulumi's plugin"),
        (False, True, Path("/b"), "x", "on PATH"),
        (False, False, Path("/b"), "the site is away", "built from source, because the site is away"),
        (False, False, None, "x", None),
        (False, False, Path("/b"), None, None),
    ],
)
def test_pulumis_own_kubernetes_provider_comes_before_a_built_one(
    cached: bool, on_path: bool, built: Path | None, refused: str | None, why: str | None
) -> None:
    decided = kubernetes_provider.decide(cached=cached, on_path=on_path, built=built, refused=refused)
    assert (decided is None) if why is None else (decided is not None and why in decided.why)


def test_dockers_configuration_keeps_what_the_user_has_set() -> None:
    mine = {"log-driver": "local", "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}
    new = gvisor_runtime.registered(mine, Path("/data/runsc"), ["--ignore-cgroups"])
    assert new == {
        "log-driver": "local",
        "runtimes": {
            "nvidia": {"path": "nvidia-container-runtime"},
            "runsc": {"path": "/data/runsc", "runtimeArgs": ["--ignore-cgroups"]},
        },
    }
    assert mine["runtimes"] == {"nvidia": {"path": "nvidia-container-runtime"}}


def test_limits_are_given_up_only_where_the_machine_has_no_other_way() -> None:
    assert gvisor_runtime.options(may_raise=True) == []
    assert gvisor_runtime.options(may_raise=False) == ["--ignore-cgroups"]


def test_a_configuration_of_dockers_that_cannot_be_read_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text("{not json")
    with pytest.raises(EngineError, match="isn't JSON"):
        gvisor_runtime.read(file)
    assert gvisor_runtime.read(tmp_path / "none") == {}


def test_the_make_targets_are_commands_of_the_engine() -> None:
    for target in ("cluster", "cluster-down", "test-kubernetes", "gvisor"):
        shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
        assert f"-m engine {target}" in shown.stdout
