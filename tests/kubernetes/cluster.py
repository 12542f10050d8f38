"""The cluster that the tests run on, driven as a user drives it: with kubectl."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SECONDS = 90
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
# Answers each connection with one line. perl and bash are what Debian's smallest images have.
SERVER = (
    "use IO::Socket::INET; $SIG{TERM} = sub { exit 0 };"
    "my $s = IO::Socket::INET->new(Listen => 9, LocalPort => 8080, ReuseAddr => 1) or die;"
    'while (my $c = $s->accept) { print $c "served\\n"; close $c }'
)
# Ended by signals, also as a pod's first process.
IDLE = "trap exit TERM; while :; do sleep 1 & wait $!; done"


@dataclass(frozen=True, slots=True)
class Answer:
    """What kubectl left."""

    code: int
    out: str
    err: str


def until(question: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Ask until the answer is yes; fails with `what` when it never is."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.3)


def pod(name: str, command: Sequence[str], image: str, **extra: Any) -> dict[str, Any]:
    """Return a pod with one container that meets the restricted Pod Security Standard."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": RESTRICTED,
        "resources": {"limits": {"memory": "64Mi", "cpu": "200m"}, "requests": {"memory": "8Mi", "cpu": "1m"}},
        **extra.pop("container", {}),
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "securityContext": security,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        **extra,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, and a namespace of it that commands run in."""

    namespace: str = "default"

    def ask(self, *arguments: str, stdin: Mapping[str, Any] | None = None, seconds: float = 60) -> Answer:
        """Run kubectl; the outcome is the test's to judge."""
        done = subprocess.run(
            ["kubectl", "--namespace", self.namespace, *arguments],
            input=json.dumps(stdin) if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=seconds,
            env=os.environ,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def do(self, *arguments: str, stdin: Mapping[str, Any] | None = None) -> str:
        """Run kubectl; it has to succeed."""
        answer = self.ask(*arguments, stdin=stdin)
        assert answer.code == 0, f"kubectl {' '.join(arguments)}: {answer.err}"
        return answer.out

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object."""
        found: dict[str, Any] = json.loads(self.do("get", kind, name, "-o", "json"))
        return found

    def run(self, content: Mapping[str, Any]) -> str:
        """Make a pod and wait until it is ready. Returns its address."""
        self.do("create", "-f", "-", stdin=content)
        name = str(content["metadata"]["name"])
        waited = self.ask("wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={SECONDS}s", seconds=SECONDS + 10)
        assert waited.code == 0, self.do("describe", "pod", name)
        return str(self.get("pod", name)["status"]["podIP"])

    def inside(self, name: str, script: str) -> Answer:
        """Run a bash script in a pod."""
        return self.ask("exec", name, "--", "bash", "-c", script)

    def reaches(self, name: str, address: str, port: int) -> bool:
        """Whether a connection from a pod to an address is accepted within 2 s."""
        return self.inside(name, f"timeout 2 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null").code == 0
