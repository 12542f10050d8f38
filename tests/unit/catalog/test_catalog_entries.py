from __future__ import annotations

from typing import Any

import pytest

from components.catalog.entry import (
    CompositeConfig,
    ContainerizedConfig,
    Entry,
    Policy,
    RemoteConfig,
    ServerType,
    Usage,
    UvxConfig,
)
from components.catalog.parse import parsed
from components.catalog.read import distinct, entries
from components.errors import Problems


def one(text: str) -> Entry:
    (found,) = entries(parsed(text, file="a.yaml"), file="a.yaml")
    return found


def wrong(text: str) -> list[str]:
    with pytest.raises(Problems) as caught:
        one(text)
    return [str(problem) for problem in caught.value]


UVX = """\
name: Acme Tickets
entryKey: acme-tickets
shortDescription: Read and file tickets
metadata: {categories: Tickets}
runtime: uvx
uvxConfig:
  package: acme-tickets-mcp==2.1.0
  command: acme-mcp
  args: ["--region", "${ACME_REGION}", "--creds", "${CREDS_JSON}"]
  egressDomains: ["*.ACME.example"]
  startupTimeoutSeconds: 120
env:
  - {key: acme-region, name: Region, required: true, options: [{name: Europe, value: eu}, {name: US, value: us}]}
  - {key: creds.json, name: Credentials, required: true, sensitive: true, dynamicFile: true}
resources: {requests: {cpu: 50m, memory: 128Mi}, limits: {memory: 512Mi}}
toolPreview:
  - {name: list, description: Lists, params: {query: What to look for}}
"""


def test_a_first_version_entry_folds_into_the_inner_model() -> None:
    entry = one(UVX)
    assert (entry.id, entry.server_type) == ("acme-tickets", ServerType.SINGLE_USER)
    assert isinstance(entry.runtime_config, UvxConfig)
    assert entry.runtime_config.egress_domains == ("*.acme.example",)
    assert entry.runtime_config.startup_seconds == 120
    region, credentials = entry.settings
    assert (region.key, region.usage, region.policy) == ("ACME_REGION", Usage.ENV, Policy.USER)
    assert [option.value for option in region.options] == ["eu", "us"]
    assert (credentials.key, credentials.usage) == ("CREDS_JSON", Usage.DYNAMIC_FILE)
    assert entry.resources.requests.cpu_milli == 50
    assert entry.resources.limits.memory_bytes == 512 * 2**20
    assert entry.tool_preview[0].params == {"query": "What to look for"}
    assert (entry.source.file, entry.source.line) == ("a.yaml", 1)


def test_a_volume_is_asked_for_in_the_free_metadata() -> None:
    assert one(UVX).volume == ""
    assert one(UVX.replace("{categories: Tickets}", "{volume: /srv/tickets}")).volume == "/srv/tickets"
    assert one(UVX.replace("{categories: Tickets}", "{volume: none}")).volume == ""
    (problem,) = wrong(UVX.replace("{categories: Tickets}", "{volume: /opt/x}"))
    assert "metadata.volume" in problem
    assert "would hide /opt" in problem


def test_keys_match_without_regard_to_case_and_null_is_absent() -> None:
    entry = one(
        """
name: Acme Lake
runtime: remote
description:
env: [{key: LAKE, required: true}]
remoteConfig:
  URLTemplate: https://${LAKE}.acme.example/mcp
  headers: [{key: Authorization, required: true, sensitive: true, prefix: "Bearer "}]
"""
    )
    assert isinstance(entry.runtime_config, RemoteConfig)
    assert entry.runtime_config.url_template == "https://${LAKE}.acme.example/mcp"
    assert entry.id == "acme-lake"
    assert [(s.key, s.usage, s.policy) for s in entry.settings] == [
        ("LAKE", Usage.INTERPOLATED, Policy.OPERATOR),
        ("AUTHORIZATION", Usage.HEADER, Policy.USER),
    ]


def test_a_shared_server_takes_env_from_the_stack_and_headers_from_users() -> None:
    entry = one(
        """
name: A
runtime: containerized
serverUserType: multiUser
containerizedConfig: {image: "ghcr.io/acme/a:1", port: 8080, path: mcp}
multiUserConfig: {userDefinedHeaders: [{key: X-Api-Key, sensitive: true}]}
env: [{name: LOG_LEVEL, value: info}, {key: TOKEN, sensitive: true}]
"""
    )
    assert isinstance(entry.runtime_config, ContainerizedConfig)
    assert entry.runtime_config.path == "/mcp"
    assert {s.key: s.policy for s in entry.settings} == {
        "LOG_LEVEL": Policy.FIXED,
        "TOKEN": Policy.OPERATOR,
        "X-Api-Key": Policy.USER,
    }
    assert entry.setting("x_api_key") == entry.setting("X-Api-Key") is not None
    assert entry.setting("absent") is None


def test_a_second_version_entry_has_one_list() -> None:
    entry = one(
        """
type: entry
name: A
runtime: npx
npxConfig: {package: "@acme/a@1.0.0", args: ["${MODE}"]}
config:
  - {key: mode, usage: interpolated, required: true}
  - {key: x_key, usage: header, sensitive: true}
  - {key: ca.pem, usage: file}
"""
    )
    assert entry.server_type is ServerType.MULTI_USER
    assert [(s.key, s.usage, s.policy) for s in entry.settings] == [
        ("MODE", Usage.INTERPOLATED, Policy.OPERATOR),
        ("X-KEY", Usage.HEADER, Policy.USER),
        ("CA_PEM", Usage.FILE, Policy.OPERATOR),
    ]


def test_composites_of_both_versions_are_kept() -> None:
    first = one(
        """
name: Desk
runtime: composite
compositeConfig:
  componentServers:
    - {catalogEntryID: a, toolPrefix: t_, toolOverrides: [{name: list, enabled: true, overrideName: find}]}
    - {mcpServerID: ms1}
"""
    )
    second = one(
        """
type: vmcp
displayName: Desk
components:
  - {name: A, id: a, mcpServerCatalogEntryKey: a, configuration: [{key: K, policy: fixed, value: v}]}
profiles:
  - name: everyone
    subjects: [{type: selector, id: "*"}]
    vmcpPermissions: {allowedComponents: {a: {allowedTools: [list]}}}
"""
    )
    assert first.server_type is second.server_type is ServerType.COMPOSITE
    assert isinstance(first.runtime_config, CompositeConfig)
    assert [component.entry or component.server for component in first.runtime_config.components] == ["a", "ms1"]
    assert isinstance(second.runtime_config, CompositeConfig)
    assert second.runtime_config.profiles[0].components == {"a": ("list",)}


BASE = "name: A\nruntime: npx\nnpxConfig: {package: a@1.0.0%s}\n"
REMOTE = "name: A\nruntime: remote\nremoteConfig: {%s}\n"
IMAGE = "name: A\nruntime: containerized\ncontainerizedConfig: {image: a, port: 80, path: /%s}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE % "" + "shortDescripton: x", "a.yaml:4: A: shortDescripton: is not a field known here; did you mean"),
        (BASE % ", tunnelName: t", "npxConfig.tunnelName: is not a field known here; a reverse tunnel"),
        (BASE % "" + "uvxConfig: {package: a}", "uvxConfig: is not read with runtime npx"),
        ("name: A\nruntime: npx", "npxConfig: is missing"),
        ("name: A\nruntime: docker", 'runtime: got "docker": is not one of the allowed values; write npx, uvx'),
        ("runtime: npx\nnpxConfig: {package: a}", "name: is missing"),
        (BASE % "" + "shortDescription: " + "x" * 161, "longer than 160"),
        (BASE % "" + "entryKey: A_b", 'entryKey: got "A_b"'),
        (BASE % "" + "entryKey: gateway-edge", "is the gateway's own name"),
        ("name: '-'\nruntime: npx\nnpxConfig: {package: a}", "holds no letter"),
        (BASE % "" + "Name: B", "name: stands there twice"),
        (BASE % ', args: [""]', "npxConfig.args[0]: is blank"),
        (BASE % ', args: ["${X}"]', "${X} refers to no setting; declare X under env"),
        (BASE % ', args: ["${x}"]' + "env: [{key: X, required: true}]", "refers to no setting; write ${X}"),
        (BASE % ', args: ["${X}"]' + "env: [{key: X}]", "not required; give X required: true"),
        (BASE % "" + f"env: [{{key: {'X' * 129}}}]", "env[0].key: is longer than 128 characters"),
        (BASE % "" + f"env: [{{key: X, prefix: {'p' * 201}}}]", "env[0].prefix: is longer than 200"),
        (BASE % "" + 'env: [{key: X, prefix: "a\\eb"}]', "env[0].prefix: holds a control character"),
        (
            BASE % "" + 'env: [{key: X, options: [{name: a, value: "a\\nb"}]}]',
            "env[0].options[0]: an option's value holds",
        ),
        (REMOTE % 'hostname: a.example, headers: [{key: X, prefix: " b"}]', "headers[0].prefix: begins with a blank"),
        (REMOTE % "hostname: a.example, headers: [{key: X, value: Ω}]", "value: holds a character that a header can't"),
        (BASE % ", denyAllEgress: true, egressDomains: [a.example]", "denies what egressDomains allows"),
        (BASE % ", egressDomains: [10.0.0.1]", "is an address, not a name"),
        (BASE % ", startupTimeoutSeconds: 601", "is more than 600"),
        ("name: A\nruntime: npx\nnpxConfig: {package: 'git+https://x/y'}", "is not a package of the npm registry"),
        ("name: A\nruntime: npx\nnpxConfig: {package: --yes}", "is not a package of the npm registry"),
        ("name: A\nruntime: uvx\nuvxConfig: {package: 'git+https://x/y'}", "is not a package of the Python index"),
        ("name: A\nruntime: uvx\nuvxConfig: {package: a, command: 'a b'}", "is not the name of one program"),
        (IMAGE % "" + "env: [{key: a b}]", 'env[0].key: got "A B": is not a variable\'s name'),
        (IMAGE % "" + "env: [{key: A}, {key: a}]", "env[1].key"),
        (IMAGE % "" + "env: [{}]", "env[0]: has neither key nor name"),
        (IMAGE % "" + "env: [{key: A, dynamicFile: true}]", "dynamicFile without file"),
        (IMAGE % "" + "env: [{key: A, value: x, options: [{name: x, value: x}]}]", "a fixed value has no options"),
        (IMAGE % "" + "env: [{key: A, options: [{name: x, value: x}, {name: y, value: x}]}]", "stands there twice"),
        (IMAGE % "" + "env: [{key: A, value: x, secretBinding: {name: s, key: k}}]", "can't be bound to a Secret"),
        (IMAGE % "" + "env: [{key: A, required: yes}]", 'env[0].required: got "yes": is neither true nor false'),
        (IMAGE % "" + "multiUserConfig: {userDefinedHeaders: []}", "is for serverUserType multiUser only"),
        (IMAGE % "?q", "is not the path of an URL"),
        ("name: A\nruntime: containerized\ncontainerizedConfig: {image: a, port: 0, path: /}", "is less than 1"),
        ("name: A\nruntime: containerized\ncontainerizedConfig: {image: a, port: '80', path: /}", "not a whole number"),
        ("name: A\nruntime: containerized\ncontainerizedConfig: {image: 'a b', port: 1, path: /}", "image's reference"),
        (IMAGE % "" + "resources: {requests: {cpu: 1}, limits: {cpu: 500m}}", "is less than the request"),
        (IMAGE % "" + "resources: {limits: {memory: 1 GB}}", "is not a quantity"),
        (REMOTE % "", "needs exactly one of fixedURL, hostname and urlTemplate; has none"),
        (REMOTE % "fixedURL: 'https://a.b', hostname: a.b", "has fixedURL, hostname"),
        (REMOTE % "fixedURL: 'https://169.254.169.254/'", "never reached"),
        (REMOTE % "fixedURL: 'https://a.b', tunnelName: t", "a reverse tunnel"),
        (REMOTE % "urlTemplate: 'https://a.b'", "holds no ${KEY}"),
        (REMOTE % "hostname: 'https://a.b'", "is not a bare host name"),
        (REMOTE % "fixedURL: 'https://a.b'" + "serverUserType: multiUser", "a remote server has no serverUserType"),
        (REMOTE % "fixedURL: 'https://a.b'" + "resources: {}", "nothing is run for a remote server"),
        (REMOTE % "fixedURL: 'https://a.b', headers: [{key: Cookie}]", "the gateway or the protocol sets itself"),
        (REMOTE % "fixedURL: 'https://a.b', headers: [{key: X-Mcp-User}]", "the gateway or the protocol sets itself"),
        (REMOTE % "fixedURL: 'https://a.b', headers: [{key: A, value: \"x\\r\\nB: y\"}]", "a control character"),
        ("type: entry\n" + BASE % "" + "env: [{key: A}]", "move it to top-level config"),
        (BASE % "" + "config: [{key: A, usage: cookie}]", "is not one of the allowed values"),
        (BASE % "" + "config: [{key: A, static: true}]", "static but has no value"),
        (BASE % "" + "config: [{key: A, usage: interpolated}]", "no ${A} refers to it"),
        (BASE % "" + "serverUserType: shared", "write singleUser or multiUser"),
        ("name: A\nruntime: composite\ncompositeConfig: {componentServers: []}", "names no component"),
        (
            "name: A\nruntime: composite\ncompositeConfig: {componentServers: [{catalogEntryID: a, mcpServerID: b}]}",
            "needs exactly one of catalogEntryID and mcpServerID",
        ),
        ("type: vmcp\ndisplayName: A\ncomponents: []", "names no component"),
        (
            "type: vmcp\ndisplayName: A\ncomponents: [{name: A, id: a.b, mcpServerCatalogEntryKey: a}]",
            "components[0].id",
        ),
        ("[7]", "is not a mapping"),
    ],
)
def test_each_rule_has_its_message(text: str, words: str) -> None:
    assert any(words in problem for problem in wrong(text)), wrong(text)


def test_all_problems_come_at_once_with_their_lines() -> None:
    problems = wrong(
        """\
- name: A
  runtime: npx
  npxConfig:
    package: ../x
    args: ["${GONE}"]
  env:
    - key: A
      required: 3
- runtime: npx
- name: C
  runtime: remote
  remoteConfig:
    fixedURL: ftp://x.example
"""
    )
    assert [problem.split(": ")[0] for problem in problems] == [f"a.yaml:{line}" for line in (4, 5, 8, 9, 13)]


def test_a_secret_in_the_file_is_refused_and_never_shown() -> None:
    problems = wrong(
        IMAGE % ""
        + """
env:
  - {key: A, sensitive: true, value: hunter2}
  - {key: B, value: [hunter2]}
  - {key: C, valeu: hunter2}
  - {key: D, prefix: 7, options: hunter2}
"""
    )
    assert len(problems) == 5
    assert "a sensitive value stands in clear in the catalog" in problems[0] + problems[1] + problems[2]
    assert not any("hunter2" in problem for problem in problems)


def test_credentials_in_an_url_are_refused_and_never_shown() -> None:
    problems = wrong(REMOTE % "fixedURL: 'https://u:hunter2@a.example/?key=hunter2'")
    assert problems == ["a.yaml:3: A: remoteConfig.fixedURL: holds a user name or password; write https://host/path"]


def test_two_entries_with_one_id_are_refused_naming_both() -> None:
    text = (
        "- {name: Time, runtime: npx, npxConfig: {package: a}}\n- {name: time, runtime: npx, npxConfig: {package: b}}"
    )
    with pytest.raises(Problems) as caught:
        distinct(entries(parsed(text, file="a.yaml"), file="a.yaml"))
    (problem,) = caught.value
    assert (problem.value, problem.line, problem.entry) == ("time", 2, "time")
    assert "Time (a.yaml:1) has it as well" in problem.wrong


def test_the_catalogs_own_values_stay_out_of_reprs() -> None:
    entry: Any = one(IMAGE % "" + "env: [{key: A, value: hunter2}]")
    assert "hunter2" not in repr(entry)
