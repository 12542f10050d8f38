"""What a stack may list in `gateway.registration.nativeRedirectUris`."""

from __future__ import annotations

import pytest

from components.config.stack import StackConfig


def listed(*uris: str) -> tuple[str, ...]:
    config = StackConfig.model_validate({"gateway": {"registration": {"nativeRedirectUris": list(uris)}}})
    return config.gateway.registration.native_redirect_uris


def test_nothing_is_listed_by_default() -> None:
    assert StackConfig().gateway.registration.native_redirect_uris == ()


def test_whole_uris_of_apps_are_kept_as_they_are() -> None:
    uris = ("cursor://anysphere.cursor-mcp/oauth/callback", "com.example.app:/cb?x=1", "vscode://publisher.ext/cb")
    assert listed(*uris) == uris


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("https://app.example/cb", "https and loopback need no setting"),
        ("http://127.0.0.1:3333/cb", "https and loopback need no setting"),
        ("javascript:/alert(1)", "javascript is not one app's own scheme"),
        ("file:///etc/passwd", "not one app's"),
        ("cursor", "not one app's"),
        ("cursor://", "not one app's"),
        ("cursor://*/cb", "not one app's"),
        ("cursor://user@host/cb", "not one app's"),
        ("cursor://host/cb#part", "not one app's"),
        ("Cursor://host/cb", "not one app's"),
        ("c:/cb", "not one app's"),
        ("cursor://host/a b", "not one app's"),
        ("cursor://host/" + "a" * 200, "longer than 200"),
    ],
)
def test_what_is_no_apps_uri_is_refused_with_the_reason(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        listed(uri)
