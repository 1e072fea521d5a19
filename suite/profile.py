"""Hardware profiles: the YAML files in ``hardware_profiles/`` that say what a measurement requires."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from suite.canonical import digest
from suite.documents import DECLARED, Name, Strict, Text
from suite.protocol import MEASURING


def _is_unset(value: object) -> bool:
    """A field that few profiles need is not written in the others, whose hashes stay what they were."""
    return not value


class Requires(Strict):
    """What a machine must have; a field left out is not asked for. A measurement records what held."""

    memory_bytes: Annotated[Annotated[int, Field(ge=1)] | None, DECLARED] = None
    cores: Annotated[Annotated[int, Field(ge=1)] | None, DECLARED] = None
    cpu_flags: Annotated[tuple[Name, ...], DECLARED] = ()
    governor: Annotated[Name | None, DECLARED] = None
    max_load_1min: Annotated[Annotated[float, Field(gt=0)] | None, DECLARED] = None
    architecture: Annotated[Name | None, DECLARED] = Field(None, exclude_if=_is_unset)  # as uname -m says it
    device_model: Annotated[Text | None, DECLARED] = Field(None, exclude_if=_is_unset)
    """Words of the board's name in its device tree, as "Raspberry Pi 5"."""
    system: Annotated[Literal["linux", "android", "darwin", "windows"] | None, DECLARED] = Field(
        None, exclude_if=_is_unset
    )


class Profile(Strict):
    """A file in ``hardware_profiles/``; its name is the file's. Times in seconds, counts per process pair."""

    schema_: Annotated[Literal["lightboard/profile/1"], DECLARED] = Field(
        "lightboard/profile/1", alias="schema"
    )
    name: Annotated[Name, DECLARED]
    title: Annotated[Text, DECLARED]
    about: Annotated[Text, DECLARED]
    device: Annotated[Literal["cpu", "cuda"], DECLARED]
    threads: Annotated[Annotated[int, Field(ge=1, le=1024)] | Literal["all"], DECLARED]
    pin: Annotated[bool, DECLARED] = True  # to as many cores as there are threads
    pairs: Annotated[Annotated[int, Field(ge=1, le=100)], DECLARED] = 6
    blocks: Annotated[Annotated[int, Field(ge=2, le=1000, multiple_of=2)], DECLARED] = 12
    """Blocks of a process pair, both sides together: even, so that each side has as many."""
    block_seconds: Annotated[Annotated[float, Field(gt=0, le=600)], DECLARED] = 0.5
    block_queries: Annotated[Annotated[int, Field(ge=1, le=100_000)], DECLARED] = 8
    warmup_queries: Annotated[Annotated[int, Field(ge=0, le=1000)], DECLARED] = 2
    requires: Annotated[Requires, DECLARED] = Requires()
    emulated: Annotated[bool, DECLARED] = False  # its times say nothing of the device: never ranked
    runtimes: Annotated[tuple[Name, ...], DECLARED]  # measured on by default
    optional_runtimes: Annotated[tuple[Name, ...], DECLARED] = Field((), exclude_if=_is_unset)
    """Measured on as well, where this installation has them; where not, the reason is told."""
    reference_runtime: Annotated[Name | None, DECLARED] = Field(None, exclude_if=_is_unset)
    """The reference's, on a device that the protocol's does not run on."""
    memory_limit_bytes: Annotated[Annotated[int, Field(ge=2**24)] | None, DECLARED] = Field(
        None, exclude_if=_is_unset
    )
    """What each timed process may take."""
    kit: Annotated[bool, DECLARED] = Field(False, exclude_if=_is_unset)
    """Filled on the device itself, by the device kit."""

    @model_validator(mode="after")
    def _runtimes_named(self) -> Self:
        named = (*self.runtimes, *self.optional_runtimes)
        if not self.runtimes or len(set(named)) != len(named):
            raise ValueError(f"runtimes: found {', '.join(named) or 'none'}, expected one or more, each once")
        return self

    @property
    def against(self) -> str:
        """The runtime in which the reference is timed here."""
        return self.reference_runtime or str(MEASURING["reference"]["runtime"])

    @property
    def hash(self) -> str:
        """Digest of the profile's content, defaults included; a measurement carries it."""
        return digest(self.model_dump(mode="json", by_alias=True))
