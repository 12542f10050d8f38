"""Asking the cluster's name service: its answer proves that a pod runs, not only that one is said to."""

from __future__ import annotations

import secrets
import socket
import struct
from ipaddress import IPv4Address

from engine.cluster.certificates import DOMAIN

PORT = 53
NAME = f"kubernetes.default.svc.{DOMAIN}"
SECONDS = 1.0


def query(name: str, number: int) -> bytes:
    """Return a question for a name's IPv4 addresses (RFC 1035, section 4)."""
    header = struct.pack(">6H", number, 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0" + struct.pack(">2H", 1, 1)


def answered(asked: bytes, answer: bytes) -> bool:
    """Whether an answer belongs to the question, is free of errors and holds at least one record."""
    if len(answer) < 12 or answer[:2] != asked[:2]:
        return False
    flags, _, records = struct.unpack(">3H", answer[2:8])
    return bool(flags & 0x8000) and flags & 0x000F == 0 and records > 0


def answers(address: IPv4Address) -> bool:
    """Whether the name service knows the API server's service within a second."""
    asked = query(NAME, secrets.randbelow(1 << 16))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        question.settimeout(SECONDS)
        try:
            question.sendto(asked, (str(address), PORT))
            return answered(asked, question.recv(512))
        except OSError:
            return False
