"""The labels that the program renders are the labels that the launcher reads (docs/contracts.md, section 7)."""

from mcp_launcher.state import Container, Network, container, network

from components.render.docker.labels import labels

EDGE_ADDRESS = "10.201.0.3"


def test_rendered_network_is_one_that_the_edge_joins() -> None:
    rendered = labels("quickstart", "time", "server", edge_address=EDGE_ADDRESS)
    raw = {"Id": "a" * 64, "Name": "mcp-quickstart-time", "Labels": rendered}
    assert network(raw, "quickstart") == Network(id="a" * 64, name="mcp-quickstart-time", edge_address=EDGE_ADDRESS)
    assert network(raw, "other") is None
    assert network(raw | {"Labels": labels("quickstart", "gateway", "gateway")}, "quickstart") is None


def test_rendered_container_is_known_by_its_role_and_its_limit() -> None:
    raw = {
        "Id": "b" * 64,
        "Names": ["/mcp-quickstart-gateway-edge"],
        "State": "running",
        "Created": 7,
        "Labels": labels("quickstart", "gateway", "edge", processes="64"),
        "NetworkSettings": {
            "Networks": {
                "mcp-quickstart-gateway": {"NetworkID": "c" * 64, "IPAMConfig": {"IPv4Address": "10.201.1.3"}},
                "mcp-quickstart-time": {"NetworkID": "a" * 64, "IPAMConfig": None, "IPAddress": EDGE_ADDRESS},
                "not-yet-started": {"NetworkID": "", "IPAMConfig": None, "IPAddress": ""},
            }
        },
    }
    assert container(raw, "quickstart") == Container(
        id="b" * 64,
        name="mcp-quickstart-gateway-edge",
        role="edge",
        state="running",
        created=7,
        addresses={"c" * 64: "10.201.1.3", "a" * 64: EDGE_ADDRESS, "not-yet-started": ""},
        processes=64,
    )
    assert container(raw, "other") is None


def test_limit_that_is_no_number_is_none() -> None:
    for wrong in ("", "0", "-1", "many", "١"):
        rendered = labels("s", "p", "server") | {"mcp-hosting.processes": wrong}
        raw = {"Id": "b" * 64, "Names": ["/mcp-s-p"], "Labels": rendered}
        found = container(raw, "s")
        assert found is not None
        assert found.processes is None


def test_an_image_that_calls_itself_an_edge_is_none() -> None:
    """A container takes its image's labels, also one that a build makes for a moment; its name is Docker's choice."""
    raw = {"Id": "b" * 64, "Labels": labels("s", "gateway", "edge")}
    assert container(raw | {"Names": ["/quirky_euler"]}, "s") is None
    assert container(raw | {"Names": None}, "s") is None
    assert container(raw | {"Names": ["/mcp-s-gateway-edge"]}, "s") is not None
