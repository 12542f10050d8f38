"""The cluster's certificates: three authorities and what each part shows of itself, made with openssl."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.cluster.network import Network
from engine.content import digest, placed
from engine.errors import EngineError
from engine.process import capture

NODE = "mcp-node"
DOMAIN = "cluster.local"
AUTHORITIES = ("cluster", "etcd", "front-proxy")
AUTHORITY_DAYS = 3650
DAYS = 365
# New ones are made by the first `make cluster` of each such period, long before the old ones end.
PERIOD = 90 * 24 * 3600
KUBELET_CLIENT = "kube-apiserver-kubelet-client"
VOLUMES = "mcp-hosting-volumes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a part shows: `name` is its file, `common_name` the user and `organization` the group that it acts as.

    `names` and `addresses` are for those that are connected to; without any it is for connecting only.
    """

    name: str
    signer: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    both: bool = False

    @property
    def serves(self) -> bool:
        """Whether others connect to the part."""
        return bool(self.names or self.addresses)


def wanted(network: Network) -> tuple[Certificate, ...]:
    """Return the certificates of a cluster (Kubernetes' "PKI certificates and requirements")."""
    service = "kubernetes.default.svc"
    names = ("kubernetes", "kubernetes.default", service, f"{service}.{DOMAIN}")
    here = str(network.node)

    def client(name: str, user: str, group: str = "", signer: str = "cluster") -> Certificate:
        return Certificate(name=name, signer=signer, common_name=user, organization=group)

    return (
        Certificate(
            name="apiserver",
            signer="cluster",
            common_name="kube-apiserver",
            names=names,
            addresses=(here, str(network.kubernetes)),
        ),
        Certificate(name="kubelet-server", signer="cluster", common_name=NODE, names=(NODE,), addresses=(here,)),
        Certificate(name="etcd", signer="etcd", common_name="etcd", addresses=("127.0.0.1",), both=True),
        client("apiserver-etcd", "kube-apiserver", signer="etcd"),
        client("front-proxy", "front-proxy-client", signer="front-proxy"),
        client("apiserver-kubelet", KUBELET_CLIENT),
        client("kubelet", f"system:node:{NODE}", "system:nodes"),
        client("controller-manager", "system:kube-controller-manager"),
        client("scheduler", "system:kube-scheduler"),
        client("proxy", "system:kube-proxy"),
        client("kube-router", "kube-router"),
        client("volumes", VOLUMES),
        client("admin", "mcp-hosting-admin", "system:masters"),
    )


def request(certificate: Certificate) -> str:
    """Return openssl's configuration for a certificate (x509v3_config(5))."""
    usage = ", ".join(
        purpose
        for purpose, wanted in (
            ("serverAuth", certificate.serves),
            ("clientAuth", not certificate.serves or certificate.both),
        )
        if wanted
    )
    alternatives = [f"DNS:{name}" for name in certificate.names] + [f"IP:{place}" for place in certificate.addresses]
    lines = [
        *("[req]", "prompt = no", "distinguished_name = subject", "x509_extensions = extensions"),
        "[subject]",
        *([f"O = {certificate.organization}"] if certificate.organization else []),
        f"CN = {certificate.common_name}",
        "[extensions]",
        "basicConstraints = critical, CA:FALSE",
        "keyUsage = critical, digitalSignature",
        f"extendedKeyUsage = {usage}",
        "authorityKeyIdentifier = keyid",
        *([f"subjectAltName = {', '.join(alternatives)}"] if alternatives else []),
    ]
    return "".join(f"{line}\n" for line in lines)


def authority_request(name: str) -> str:
    """Return openssl's configuration for an authority's own certificate."""
    lines = (
        *("[req]", "prompt = no", "distinguished_name = subject", "x509_extensions = extensions"),
        *("[subject]", f"CN = mcp-hosting {name}", "[extensions]", "basicConstraints = critical, CA:TRUE, pathlen:0"),
        *("keyUsage = critical, keyCertSign, cRLSign, digitalSignature", "subjectKeyIdentifier = hash"),
    )
    return "".join(f"{line}\n" for line in lines)


def generation(network: Network, now: float) -> str:
    """Return the key of the certificates for this network at this time (seconds since 1970)."""
    parts = [json.dumps([cert.name, request(cert), cert.signer]) for cert in wanted(network)]
    return digest((*parts, str(DAYS), str(int(now // PERIOD))))


def openssl(arguments: Sequence[str | Path]) -> None:
    """Run openssl. Raises EngineError."""
    done = capture(["openssl", *arguments])
    if not done.ok:
        raise EngineError(f"openssl {arguments[0]} failed: {done.err.strip()}", "OpenSSL 3.0 or newer is needed")


def make(work: Path, name: str, config: str, days: int, signer: Path | None) -> None:
    """Make a P-256 key and its certificate as NAME.key and NAME.crt in `work`."""
    file = work / f"{name}.cnf"
    file.write_text(config)
    kind: list[str | Path] = ["req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    kind += ["-sha256", "-days", str(days), "-config", file]
    if signer:
        kind += ["-CA", signer.with_suffix(".crt"), "-CAkey", signer.with_suffix(".key")]
    openssl([*kind, "-keyout", work / f"{name}.key", "-out", work / f"{name}.crt"])
    (work / f"{name}.key").chmod(0o600)
    file.unlink()


def ensure(directory: Path, network: Network, now: float | None = None) -> Path:
    """Return the directory with the certificates in force: the authorities' beside the parts' and `service.key`.

    Authorities and the key that signs service accounts' tokens are made once, the others anew in each period.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def authorities(work: Path) -> None:
        for name in AUTHORITIES:
            make(work, name, authority_request(name), AUTHORITY_DAYS, None)
        openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", work / "service.key"])
        openssl(["pkey", "-in", work / "service.key", "-pubout", "-out", work / "service.pub"])

    roots = placed(directory / "authorities", authorities)

    def parts(work: Path) -> None:
        for certificate in wanted(network):
            make(work, certificate.name, request(certificate), DAYS, roots / certificate.signer)
        for root in AUTHORITIES:
            (work / f"{root}-ca.crt").write_bytes((roots / f"{root}.crt").read_bytes())
        for file in ("service.key", "service.pub"):
            (work / file).write_bytes((roots / file).read_bytes())
            (work / file).chmod(0o600)

    current = directory / generation(network, time.time() if now is None else now)
    placed(current, parts)
    return current
