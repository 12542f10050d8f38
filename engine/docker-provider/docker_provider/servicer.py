"""The engine's calls (`pulumirpc.ResourceProvider`), turned into calls of the resource types.

Source: pulumi/pulumi, proto/pulumi/provider.proto. Keeps secrets secret on the way back, and out of every message.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty

from docker_provider import NOTICE, VERSION
from docker_provider.check import DEFAULTS, Failure, autoname, checked, failures
from docker_provider.container import Container
from docker_provider.diff import Edit, difference
from docker_provider.docker_engine import DEFAULT_HOST, DockerEngine, load_sdk
from docker_provider.engine_log import EngineLog
from docker_provider.errors import ProviderError
from docker_provider.image import Image
from docker_provider.masking import masked, shows
from docker_provider.network import Network
from docker_provider.operation import Operation, ResourceType
from docker_provider.properties import Properties, Secret, decode, encode, has_unknown, plain, resecret, secret_texts
from docker_provider.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc
from docker_provider.remote_image import RemoteImage
from docker_provider.schema import schema
from docker_provider.volume import Volume

Context = grpc.ServicerContext
T = TypeVar("T")

RESOURCES: dict[str, ResourceType] = {
    resource.token: resource for resource in (Container(), Network(), Volume(), Image(), RemoteImage())
}
_CONFIG = {"host", "version", "pluginDownloadURL"}
_KINDS = {
    (Edit.ADD, False): provider_pb2.PropertyDiff.ADD,
    (Edit.ADD, True): provider_pb2.PropertyDiff.ADD_REPLACE,
    (Edit.DELETE, False): provider_pb2.PropertyDiff.DELETE,
    (Edit.DELETE, True): provider_pb2.PropertyDiff.DELETE_REPLACE,
    (Edit.UPDATE, False): provider_pb2.PropertyDiff.UPDATE,
    (Edit.UPDATE, True): provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
_ABILITIES = {"accept_secrets": True, "accept_resources": False, "accept_outputs": False}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider process."""

    def __init__(self, engine_address: str | None) -> None:
        self._log = EngineLog(engine_address)
        self._docker = DockerEngine(os.environ.get("DOCKER_HOST") or DEFAULT_HOST)
        self._cancelled = threading.Event()
        self._noticed = False

    def Handshake(self, request: provider_pb2.ProviderHandshakeRequest, context: Context) -> Any:
        """Tells what this provider can take."""
        if request.engine_address:
            self._log.attach(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(**_ABILITIES)

    def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> Empty:
        """Names the engine to a provider that was started by hand."""
        self._log.attach(request.address)
        return Empty()

    def GetPluginInfo(self, request: Empty, context: Context) -> plugin_pb2.PluginInfo:
        """The version that is stood in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: provider_pb2.GetSchemaRequest, context: Context) -> provider_pb2.GetSchemaResponse:
        """The schema of what is supported."""
        return provider_pb2.GetSchemaResponse(schema=schema(RESOURCES.values()))

    def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Refuses what cannot be honoured, by name."""
        news = decode(request.news)
        reason = f"not supported by this stand-in for pulumi-docker {VERSION}; it takes `host` (or DOCKER_HOST)"
        wrong = [Failure(key, reason) for key in sorted(news.keys() - _CONFIG) if not key.startswith("__")]
        host = plain(news.get("host"))
        if isinstance(host, str) and host.startswith("ssh://"):
            wrong.append(Failure("host", "ssh:// is not supported by this stand-in; use unix:// or tcp://"))
        return _check_response(news, wrong)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Another engine means other objects: everything is made anew there."""
        if plain(decode(request.old_inputs or request.olds).get("host")) == plain(decode(request.news).get("host")):
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_SOME, replaces=["host"], diffs=["host"])

    def Configure(self, request: provider_pb2.ConfigureRequest, context: Context) -> provider_pb2.ConfigureResponse:
        """Takes the engine's address; contacts it only when there is something to do."""
        host = plain(decode(request.args).get("host")) or request.variables.get("docker:config:host")
        if isinstance(host, str) and host:
            self._docker = DockerEngine(host)
        if not self._noticed:
            self._noticed = True
            self._log.info(NOTICE)
        threading.Thread(target=load_sdk, daemon=True).start()
        response = {
            key.replace("_s", "S").replace("_r", "R").replace("_o", "O"): value for key, value in _ABILITIES.items()
        }
        return provider_pb2.ConfigureResponse(**response, supportsPreview=True)

    def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        """Validates the inputs and fills in defaults and a name."""
        news, olds = decode(request.news), decode(request.olds)

        def work(resource: ResourceType, op: Operation) -> provider_pb2.CheckResponse:
            name = autoname(request.name or request.urn.rpartition("::")[2], request.randomSeed)
            inputs = checked(resource.fields, news, olds, autoname=name if resource.autonamed else None)
            wrong = list(failures(resource.fields, inputs))
            if not wrong:
                wrong += resource.failures(plain(inputs))
            if wrong:
                return _check_response(inputs, wrong)
            return _check_response(resource.prepare(inputs, op), [])

        return self._run(request.urn, context, news, work)

    def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        """Compares the inputs of the last run with the new ones."""
        old, new = decode(request.old_inputs) or decode(request.olds), decode(request.news)

        def work(resource: ResourceType, op: Operation) -> provider_pb2.DiffResponse:
            found = difference(resource.fields, old, new)
            named = (
                resource.autonamed
                and "name" not in new.get(DEFAULTS, [])
                and plain(old.get("name")) == plain(new.get("name"))
            )
            response = provider_pb2.DiffResponse(
                changes=provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE,
                replaces=found.replaces,
                diffs=sorted({path.partition(".")[0].partition("[")[0] for path in found.edits}),
                deleteBeforeReplace=resource.delete_before_replace or named,
                hasDetailedDiff=True,
            )
            for path, edit in found.edits.items():
                replaces = path.partition(".")[0].partition("[")[0] in found.replaces
                response.detailedDiff[path].CopyFrom(
                    provider_pb2.PropertyDiff(kind=_KINDS[edit, replaces], inputDiff=True)
                )
            return response

        return self._run(request.urn, context, {}, work)

    def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        """Makes the object; in a preview tells what it would be."""
        inputs = decode(request.properties)

        def work(resource: ResourceType, op: Operation) -> provider_pb2.CreateResponse:
            opened = _without_defaults(plain(inputs))
            early = opened.get("buildOnPreview") is True and not has_unknown(opened)
            if request.preview and not early:
                return provider_pb2.CreateResponse(properties=encode(resecret(resource.planned({}, opened), inputs)))
            id, outputs = resource.create(opened, op)
            return provider_pb2.CreateResponse(id=id, properties=encode(_protected(outputs, inputs)))

        return self._run(request.urn, context, inputs, work)

    def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        """Looks the object up, for a refresh or an import; an empty id says that it is gone."""
        inputs, state = decode(request.inputs), decode(request.properties)

        def work(resource: ResourceType, op: Operation) -> provider_pb2.ReadResponse:
            known = inputs or {key: value for key, value in state.items() if key in resource.fields}
            found = resource.read(request.id, _without_defaults(plain(known)), op)
            if found is None:
                return provider_pb2.ReadResponse()
            defaults = {DEFAULTS: inputs[DEFAULTS]} if DEFAULTS in inputs else {}
            outputs = _kept(resource, plain(state)) | found.outputs
            return provider_pb2.ReadResponse(
                id=found.id,
                inputs=encode(resecret({**found.inputs, **defaults}, known)),
                properties=encode(_protected(outputs, known, state)),
            )

        return self._run(request.urn, context, {**state, **inputs}, work)

    def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        """Changes the object in place; in a preview tells what it would be."""
        state, inputs = decode(request.olds), decode(request.news)

        def work(resource: ResourceType, op: Operation) -> provider_pb2.UpdateResponse:
            old, opened = plain(state), _without_defaults(plain(inputs))
            early = opened.get("buildOnPreview") is True and not has_unknown(opened)
            if request.preview and not early:
                outputs = dict(resource.planned(old, opened))
            else:
                outputs = _kept(resource, old) | resource.update(request.id, old, opened, op)
            return provider_pb2.UpdateResponse(properties=encode(_protected(outputs, inputs, state)))

        return self._run(request.urn, context, {**state, **inputs}, work)

    def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> Empty:
        """Removes the object."""
        state = decode(request.properties)

        def work(resource: ResourceType, op: Operation) -> Empty:
            resource.delete(request.id, plain(state), op)
            return Empty()

        return self._run(request.urn, context, state, work)

    def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:
        """No function is offered."""
        _abort(context, f"{request.tok}: not supported by this stand-in for pulumi-docker")

    def Call(self, request: provider_pb2.CallRequest, context: Context) -> provider_pb2.CallResponse:
        """No method is offered."""
        _abort(context, f"{request.tok}: not supported by this stand-in for pulumi-docker")

    def Cancel(self, request: Empty, context: Context) -> Empty:
        """Ends all waiting; what is half made is removed."""
        self._cancelled.set()
        return Empty()

    def _run(self, urn: str, context: Context, secret: Properties, work: Callable[[ResourceType, Operation], T]) -> T:
        """Runs `work` for the resource of that URN; a failure reaches the engine without the secrets in `secret`."""
        token = urn.split("::")[2].rpartition("$")[2]
        resource = RESOURCES.get(token)
        if resource is None:
            _abort(
                context,
                f"{token}: not supported by this stand-in for pulumi-docker {VERSION}",
            )
        secrets = list(secret_texts(secret))
        op = Operation(
            self._docker,
            lambda text: self._log.info(masked(text, secrets), urn, passing=True),
            lambda text: self._log.info(masked(text, secrets), urn),
            self._cancelled,
        )
        try:
            return work(resource, op)
        except ProviderError as error:
            message = masked(str(error), secrets)
        except Exception as error:
            # Its text may hold anything, a property's value too: the kind and the place are enough to report it.
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            line = f"{os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}" if place else ""
            message = f"the docker provider failed unexpectedly: {type(error).__name__} at {line}"
        return _abort(context, message, grpc.StatusCode.UNKNOWN)


def _abort(context: Context, message: str, code: grpc.StatusCode = grpc.StatusCode.UNIMPLEMENTED) -> NoReturn:
    context.abort(code, message)
    raise AssertionError  # abort raises


def _check_response(inputs: Properties, wrong: list[Failure]) -> provider_pb2.CheckResponse:
    reported = [provider_pb2.CheckFailure(property=failure.property, reason=failure.reason) for failure in wrong]
    return provider_pb2.CheckResponse(inputs=encode(inputs), failures=reported)


def _kept(resource: ResourceType, state: Properties) -> Properties:
    """Outputs that were told once, at the creation, and cannot be looked up again (a one-shot container's log)."""
    return {key: value for key, value in state.items() if key in resource.computed}


def _protected(outputs: Properties, inputs: Properties, state: Properties | None = None) -> Properties:
    """`outputs` as secret as the inputs and state that they echo; one that shows an input's secret is secret too."""
    secrets = list(secret_texts(inputs))
    echoed: Properties = resecret(outputs, inputs, state or {})
    return {
        key: Secret(plain(value)) if key not in inputs and shows(plain(value), secrets) else value
        for key, value in echoed.items()
    }


def _without_defaults(inputs: Properties) -> Properties:
    return {key: value for key, value in inputs.items() if key != DEFAULTS}
