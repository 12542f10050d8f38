"""The cluster's packet filter rules: one of its own for the pods' way out, and taking away all that its parts made."""

from __future__ import annotations

import re
import shlex

from engine.cluster.network import Network
from engine.errors import EngineError
from engine.process import capture

OWN_CHAIN = "MCP-CLUSTER"
PREFIXES = ("KUBE-", OWN_CHAIN)
# kube-router's rules in the kernel's own chains that lead to no chain of its own (netpol/network_policy_controller.go).
MARKED = "rule to explicitly ACCEPT traffic that comply to network policies"
SETS = re.compile(r"(?:inet6:)?(?:KUBE-|TMP-KUBE-)")
FAMILIES = ("iptables", "ip6tables")


def ours(chain: str) -> bool:
    """Whether a chain belongs to the cluster."""
    return chain.startswith(PREFIXES)


def way_out(network: Network) -> str:
    """Return, for `iptables-restore --noflush`, the rule by which pods leave under this machine's address."""
    rule = f"-s {network.pods} ! -d {network.pods} -m comment --comment mcp-hosting -j MASQUERADE"
    return f"*nat\n:{OWN_CHAIN} - [0:0]\n-A {OWN_CHAIN} {rule}\nCOMMIT\n"


def removal(saved: str) -> str:
    """Return, for `iptables-restore --noflush`, what takes the cluster out of the rules that `iptables-save` printed.

    Only chains of the cluster are emptied and deleted, only rules that lead to them are taken out of others. Empty when
    there is nothing of the cluster.
    """
    whole = []
    for table in re.findall(r"^\*\S+\n.*?^COMMIT$", saved, re.MULTILINE | re.DOTALL):
        name, *lines = table.splitlines()
        chains = [line[1:].split()[0] for line in lines if line.startswith(":")]
        mine = [chain for chain in chains if ours(chain)]
        jumps = []
        for line in lines:
            words = shlex.split(line)
            if not line.startswith("-A ") or ours(words[1]):
                continue
            targets = [words[place + 1] for place, word in enumerate(words[:-1]) if word in ("-j", "-g")]
            if any(ours(target) for target in targets) or MARKED in line:
                jumps.append(f"-D {line[3:]}")
        if mine or jumps:
            emptied = [f":{chain} - [0:0]" for chain in mine]
            whole += [name, *emptied, *jumps, *(f"-X {chain}" for chain in mine), "COMMIT"]
    return "".join(f"{line}\n" for line in whole)


def restore(family: str, rules: str, path: str) -> None:
    """Give rules to the kernel in one step per table. Raises EngineError."""
    done = capture([f"{family}-restore", "--noflush", "--wait"], stdin=rules, env={"PATH": path})
    if not done.ok:
        raise EngineError(f"{family}-restore failed: {done.err.strip()}", "see `iptables-save`")


def bring_up(network: Network, path: str) -> None:
    """Let pods out under this machine's address."""
    restore("iptables", way_out(network), path)
    jump = ["POSTROUTING", "-j", OWN_CHAIN]
    env = {"PATH": path}
    if not capture(["iptables", "--wait", "-t", "nat", "-C", *jump], env=env).ok:
        capture(["iptables", "--wait", "-t", "nat", "-A", *jump], env=env)


def take_down(path: str) -> None:
    """Take all chains, rules and address sets of the cluster away; everybody else's stay as they are."""
    env = {"PATH": path}
    for family in FAMILIES:
        if rules := removal(capture([f"{family}-save"], env=env).out):
            restore(family, rules, path)
    for name in capture(["ipset", "list", "-name"], env=env).out.split():
        if SETS.match(name):
            capture(["ipset", "destroy", name], env=env)
