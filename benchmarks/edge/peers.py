"""Other proxies in front of the same server: nginx only forwards; HAProxy and Go's ReverseProxy do the edge's checks.

HAProxy verifies signature, times, audience and tool for each call and logs; Go keeps verified tokens for their
lifetime, as the edge does. Neither re-serialises the body, binds sessions or writes a durable audit trail: they do less
than the edge.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.gateway.edge.edge_world import ISSUER, Signer

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy that can be started: its command and the port it listens on."""

    name: str
    command: tuple[str, ...]
    port: int


def nginx(folder: Path, port: int, upstream: int) -> Peer:
    (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream server {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
""")
    return Peer("nginx plain", ("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")), port)


def haproxy(folder: Path, port: int, upstream: int, signer: Signer) -> Peer:
    key = signer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "key.pem").write_bytes(key)
    audience = f"{ISSUER}/mcp-connect/bench"
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 4096
  log 127.0.0.1:514 local0
defaults
  mode http
  option http-buffer-request
  option http-no-delay
  http-reuse always
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  log global
  log-format "%ci %ST %Tr %[var(txn.sub)] %[var(txn.tool)]"
frontend in
  bind 127.0.0.1:{port}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.sub) var(txn.bearer),jwt_payload_query('$.sub')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request set-var(txn.method) req.body,json_query('$.method')
  http-request set-var(txn.tool) req.body,json_query('$.params.name')
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{folder}/key.pem") -m int 1 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {ISSUER} }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 403 if {{ var(txn.method) -m str tools/call }} !{{ var(txn.tool) -m str echo }}
  http-request del-header authorization
  http-request set-header x-mcp-user %[var(txn.sub)]
  default_backend server
backend server
  server one 127.0.0.1:{upstream}
""")
    return Peer("haproxy+checks", ("haproxy", "-db", "-f", str(folder / "haproxy.cfg")), port)


def go_proxy(folder: Path, port: int, upstream: int, signer: Signer) -> Peer | None:
    """Built with the Go on this machine; None where there is none."""
    go = shutil.which("go")
    if go is None:
        return None
    binary = folder / "goproxy"
    subprocess.run([go, "build", "-o", str(binary), "."], cwd=HERE / "goproxy", check=True)
    settings = {
        "listen": f"127.0.0.1:{port}",
        "upstream": f"http://127.0.0.1:{upstream}",
        "issuer": ISSUER,
        "audience": f"{ISSUER}/mcp-connect/bench",
        "x": signer.jwk()["x"],
        "y": signer.jwk()["y"],
        "tools": ["echo"],
        "audit": str(folder / "go-audit.jsonl"),
    }
    (folder / "goproxy.json").write_text(json.dumps(settings))
    return Peer("go+checks", (str(binary), str(folder / "goproxy.json")), port)


@contextlib.contextmanager
def running(peer: Peer) -> Iterator[int]:
    """The process id of the peer while it runs."""
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(peer.command, stdout=nowhere, stderr=nowhere)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()
