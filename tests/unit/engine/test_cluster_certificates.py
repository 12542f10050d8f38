"""The cluster's certificates: who may act as whom, and for how long."""

from __future__ import annotations

import stat
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.cluster import certificates, network

NETWORK = network.of(197)
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.ensure(tmp_path_factory.mktemp("cluster") / "certificates", NETWORK, NOW)


def read(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{name}.crt").read_bytes())


def test_each_is_signed_by_the_authority_that_it_belongs_to(made: Path) -> None:
    for wanted in certificates.wanted(NETWORK):
        for authority in certificates.AUTHORITIES:
            issued = read(made, wanted.name)
            if authority == wanted.signer:
                issued.verify_directly_issued_by(read(made, f"{authority}-ca"))
            else:
                with pytest.raises(ValueError, match="does not match"):
                    issued.verify_directly_issued_by(read(made, f"{authority}-ca"))


def test_none_but_authorities_may_sign(made: Path) -> None:
    for wanted in certificates.wanted(NETWORK):
        constraints = read(made, wanted.name).extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value.ca) == (True, False)


def test_only_one_is_an_administrators(made: Path) -> None:
    names = [wanted.name for wanted in certificates.wanted(NETWORK)]
    groups = {
        name: [str(each.value) for each in read(made, name).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        for name in names
    }
    assert [name for name, held in groups.items() if "system:masters" in held] == ["admin"]
    assert groups["kubelet"] == ["system:nodes"]


def test_who_is_connected_to_names_its_addresses_and_who_connects_may_not_serve(made: Path) -> None:
    names = read(made, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.IPAddress)) == {NETWORK.node, NETWORK.kubernetes}
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)
    local = read(made, "etcd").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert local.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1")]
    for name, serves in (("apiserver", True), ("kubelet-server", True), ("scheduler", False), ("admin", False)):
        usage = read(made, name).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert (ExtendedKeyUsageOID.SERVER_AUTH in usage) is serves
        assert (ExtendedKeyUsageOID.CLIENT_AUTH in usage) is not serves


def test_keys_are_closed_to_others(made: Path) -> None:
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(key.stat().st_mode) for key in made.parent.rglob("*.key")} == {0o600}


def test_new_ones_come_long_before_the_old_ones_end_and_the_authorities_stay(made: Path) -> None:
    later = certificates.ensure(made.parent, NETWORK, NOW + certificates.PERIOD)
    assert later != made
    assert certificates.ensure(made.parent, NETWORK, NOW + certificates.PERIOD) == later
    assert read(later, "cluster-ca") == read(made, "cluster-ca")
    assert (later / "service.key").read_bytes() == (made / "service.key").read_bytes()
    valid = read(made, "apiserver").not_valid_after_utc - read(made, "apiserver").not_valid_before_utc
    assert valid > 2 * timedelta(seconds=certificates.PERIOD)


def test_another_network_needs_other_certificates() -> None:
    keys = {certificates.generation(network.of(octet), NOW) for octet in network.SECOND_OCTETS}
    assert len(keys) == len(network.SECOND_OCTETS)
