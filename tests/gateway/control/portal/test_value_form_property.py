"""Whatever is sent, a form changes only what its user may change, and shows no sensitive value."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_gateway.authorization.parameters import Parameters
from mcp_gateway.credentials.effective import effective, problems
from mcp_gateway.documents.servers import SINGLE_USER, Access, InstanceTerms, Limits, Server
from mcp_gateway.documents.user_settings import ENV, FILE, HEADER, Option, UserSetting
from mcp_gateway.portal.value_form import LONGEST_FILE, read_values, value_fields

KEYS = ("A", "B", "C", "D")
# Marked, so that it is found wherever it turns up.
TEXTS = st.builds("¤{}¤".format, st.text(max_size=12)) | st.sampled_from(["", " ", "one", "\x00", "a\r\nb"])


@st.composite
def user_settings(draw: st.DrawFn, key: str) -> UserSetting:
    return UserSetting(
        key=key,
        usage=draw(st.sampled_from([ENV, FILE, HEADER])),
        name=key,
        description="",
        required=draw(st.booleans()),
        sensitive=draw(st.booleans()),
        prefix=draw(st.sampled_from(["", "Bearer "])),
        options=draw(st.sampled_from([(), (Option("One", "one", ""),)])),
    )


@st.composite
def servers(draw: st.DrawFn) -> Server:
    declared = draw(st.dictionaries(st.sampled_from(KEYS), st.just("one")))
    return Server(
        id="s",
        name="S",
        description="",
        icon="",
        kind=SINGLE_USER,
        path="/mcp-connect/s",
        upstream=None,
        instance=InstanceTerms(1, 1, True, {}),
        user_values={"alice": declared},
        user_settings=tuple(draw(user_settings(key)) for key in KEYS[:3]),
        access=Access(True, frozenset(), frozenset()),
        tools_allowed=None,
        limits=Limits(1, 1, 1),
    )


@settings(deadline=None)
@given(
    servers(),
    st.dictionaries(st.sampled_from(KEYS), TEXTS.filter(bool)),
    st.lists(st.tuples(st.sampled_from([f"{kind}:{key}" for kind in ("value", "remove") for key in KEYS]), TEXTS)),
)
def test_a_form_changes_only_what_may_be_changed(
    server: Server, kept: dict[str, str], pairs: list[tuple[str, str]]
) -> None:
    held = effective(server, "alice", kept)
    by_key = {setting.key: setting for setting in server.user_settings}
    shown = {key: value for key, value in kept.items() if key in by_key and not by_key[key].sensitive}
    submitted = read_values(server, held.declared, shown, frozenset(kept), Parameters(tuple(pairs)))
    assert not (submitted.errors and submitted.changes)
    for key, value in submitted.changes.items():
        setting = by_key[key]
        assert key not in held.declared
        assert f"value:{key}" in dict(pairs) or f"remove:{key}" in dict(pairs)
        if value is None:
            assert key in kept
        else:
            assert problems(setting, value) is None
            assert setting.usage != FILE or len(value.encode()) <= LONGEST_FILE
    secret = [
        text
        for key, setting in by_key.items()
        if setting.sensitive
        for text in (kept.get(key, ""), *(value for name, value in pairs if name == f"value:{key}"))
        if "¤" in text
    ]
    plain = [value for name, value in pairs if name.partition(":")[2] in shown] + list(shown.values())
    for at in value_fields(server, held, shown, dict.fromkeys(kept, 0), submitted):
        assert not (at.setting.sensitive or at.kind == "declared") or at.shown == ""
        assert not [text for text in secret if text in at.error]
        assert at.shown in {"", *plain} or not at.setting.sensitive
