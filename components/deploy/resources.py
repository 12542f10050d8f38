"""Specs -> pulumi-docker resources. Spelling only; names of other things become the outputs of their resources."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker

from components.deploy.secret_values import SecretValues
from components.plan.text import ImageId
from components.render.docker.spec import ContainerSpec, Health, ImageSpec, Mount, NetworkSpec, Upload, VolumeSpec


@dataclass(kw_only=True)
class Resources:
    """What was made so far, by name."""

    values: SecretValues
    images: dict[str, docker.Image] = field(default_factory=dict)
    pulled: dict[str, docker.RemoteImage] = field(default_factory=dict)
    networks: dict[str, docker.Network] = field(default_factory=dict)
    volumes: dict[str, docker.Volume] = field(default_factory=dict)
    containers: dict[str, docker.Container] = field(default_factory=dict)

    def image(self, spec: ImageSpec) -> None:
        """Build an image. It stays on the engine when the resource goes."""
        self.images[spec.name] = docker.Image(
            spec.name,
            image_name=spec.name,
            build=docker.DockerBuildArgs(context=spec.context, dockerfile=f"{spec.context}/Dockerfile"),
            skip_push=True,
            opts=pulumi.ResourceOptions(depends_on=[self.images[name] for name in spec.based_on]),
        )

    def network(self, spec: NetworkSpec, parent: pulumi.Resource) -> None:
        """Make a bridge network."""
        self.networks[spec.name] = docker.Network(
            spec.name,
            name=spec.name,
            driver="bridge",
            internal=spec.internal,
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=spec.subnet, gateway=spec.gateway)],
            options=dict(spec.options),
            labels=[docker.NetworkLabelArgs(label=key, value=value) for key, value in sorted(spec.labels.items())],
            opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
        )

    def volume(self, spec: VolumeSpec, parent: pulumi.Resource) -> None:
        """Make a volume; it outlives the stack."""
        self.volumes[spec.name] = docker.Volume(
            spec.name,
            name=spec.name,
            labels=[docker.VolumeLabelArgs(label=key, value=value) for key, value in sorted(spec.labels.items())],
            opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=True),
        )

    def container(self, spec: ContainerSpec, parent: pulumi.Resource) -> None:
        """Make a container, after those that it names."""
        text = self.values.text
        made = docker.Container(
            spec.name,
            name=spec.name,
            image=self._image_id(ImageId(reference=spec.image, pulled=spec.pulled)),
            entrypoints=[text(word) for word in spec.entrypoint] or None,
            command=[text(word) for word in spec.command] or None,
            envs=[pulumi.Output.concat(key, "=", text(value)) for key, value in sorted(spec.env.items())],
            network_mode=self._network_mode(spec),
            networks_advanced=[
                docker.ContainerNetworksAdvancedArgs(name=self.networks[each.network].name, ipv4_address=each.address)
                for each in spec.networks
            ],
            volumes=self._volumes(spec),
            tmpfs=dict(spec.tmpfs),
            uploads=[docker.ContainerUploadArgs(file=each.path, content=self._content(each)) for each in spec.uploads],
            ports=[
                docker.ContainerPortArgs(internal=each.internal, external=each.external, ip=each.address)
                for each in spec.ports
            ],
            user=spec.user,
            read_only=spec.read_only,
            capabilities=docker.ContainerCapabilitiesArgs(drops=list(spec.cap_drop)),
            security_opts=list(spec.security_opts),
            memory=spec.memory_mib,
            # Equal to the memory: no swap.
            memory_swap=spec.memory_mib,
            memory_reservation=spec.reserved_memory_mib,
            cpus=f"{spec.cpus:g}",
            cpu_shares=spec.cpu_shares,
            ulimits=[docker.ContainerUlimitArgs(name="nproc", soft=spec.processes, hard=spec.processes)],
            dns=list(spec.dns) or None,
            runtime=spec.runtime,
            log_driver=spec.log_driver,
            log_opts=dict(spec.log_options),
            start=spec.start,
            must_run=spec.start and not spec.one_shot,
            attach=spec.one_shot,
            logs=spec.one_shot,
            restart=spec.restart,
            healthcheck=_healthcheck(spec.health),
            wait=spec.wait_seconds is not None,
            wait_timeout=spec.wait_seconds,
            destroy_grace_seconds=spec.stop_seconds if spec.start and not spec.one_shot else None,
            labels=[docker.ContainerLabelArgs(label=key, value=value) for key, value in sorted(spec.labels.items())],
            opts=pulumi.ResourceOptions(
                parent=parent,
                delete_before_replace=True,
                depends_on=[self.containers[name] for name in spec.after],
            ),
        )
        self.containers[spec.name] = made
        if spec.one_shot:
            pulumi.Output.all(made.exit_code, made.container_logs).apply(lambda ended: _check_end(spec.name, *ended))

    def _network_mode(self, spec: ContainerSpec) -> pulumi.Input[str] | None:
        if spec.network_of is None:
            return spec.network_mode
        return pulumi.Output.concat("container:", self.containers[spec.network_of].id)

    def pull(self, reference: str) -> docker.RemoteImage:
        """Pull an image, once for all that use it. It stays on the engine when the resource goes."""
        if reference not in self.pulled:
            self.pulled[reference] = docker.RemoteImage(reference, name=reference, keep_locally=True)
        return self.pulled[reference]

    def _image_id(self, image: ImageId) -> pulumi.Output[str]:
        """The image's own id, so that a container is replaced when its image is another one, and only then."""
        return self.pull(image.reference).image_id if image.pulled else self.images[image.reference].repo_digest

    def _content(self, upload: Upload) -> pulumi.Input[str]:
        return self.values.document(upload.content, self._image_id)

    def _volumes(self, spec: ContainerSpec) -> list[docker.ContainerVolumeArgs]:
        found = [self._mount(mount) for mount in spec.mounts]
        found += [docker.ContainerVolumeArgs(container_path=folder) for folder in spec.folders]
        if spec.folders_of is not None:
            source = pulumi.Output.concat(self.containers[spec.folders_of].name, ":ro")
            found.append(docker.ContainerVolumeArgs(from_container=source))
        return found

    def _mount(self, mount: Mount) -> docker.ContainerVolumeArgs:
        if mount.source.startswith("/"):
            return docker.ContainerVolumeArgs(
                host_path=mount.source, container_path=mount.target, read_only=mount.read_only
            )
        return docker.ContainerVolumeArgs(
            volume_name=self.volumes[mount.source].name, container_path=mount.target, read_only=mount.read_only
        )


def _healthcheck(health: Health | None) -> docker.ContainerHealthcheckArgs | None:
    if health is None:
        return None
    return docker.ContainerHealthcheckArgs(
        tests=list(health.test),
        interval=f"{health.interval}s",
        timeout=f"{health.timeout}s",
        start_period=f"{health.start_period}s",
        retries=health.retries,
    )


def _check_end(name: str, status: int | None, log: str | None) -> None:
    if status:
        raise pulumi.RunError(f"{name} ended with status {status}:\n{log or ''}")
