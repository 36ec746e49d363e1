"""Games and policies that misbehave on command, importable in worker processes too."""

import asyncio
import os
import threading
import time
from pathlib import Path

import gymnasium
import toys

import agentgym
from agentgym import AgentEnv, Capabilities, Completion, Policy
from agentgym.core.errors import Fault
from agentgym.core.seeding import derive_rng

HUNG = threading.Event()
"""Set it to let hanging calls go."""


class Expert(Policy):
    """The expert, half of whose messages are mistakes."""

    name = "expert"
    bound = True

    async def act(self, request):
        rng = derive_rng(request.seed, "expert")
        return Completion(request.env.expert_message(mistake_rate=0.5, rng=rng))


class Slow(Expert):
    """Takes a while; the loop stays free."""

    def __init__(self, seconds=0.02):
        self.seconds = seconds

    async def act(self, request):
        await asyncio.sleep(self.seconds)
        return await super().act(request)


class Suicidal(Expert):
    """Ends its process in the episode with this number, always or only the first time."""

    def __init__(self, index, once=""):
        self.index, self.once = index, once

    async def act(self, request):
        await asyncio.sleep(0.001)
        if request.episode_id == f"e{self.index:07d}" and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            os._exit(3)
        return await super().act(request)


class HallGame(toys.RoomsGame):
    """Does something bad where the thing is in the hall, in the first attempts of the process or always."""

    capabilities = Capabilities(blocking=True)
    how = "hang"

    def act(self, action):
        if self.state.rooms[0] == "hall":
            self.misbehave()
        return super().act(action)

    def misbehave(self):
        if self.how == "hang":
            HUNG.wait()
        elif self.how == "fault":
            raise Fault("sandbox", "the container is gone")
        elif self.how == "kill":
            os._exit(9)
        elif self.how == "sleep":
            time.sleep(3600)


class FaultyGame(HallGame):
    """Its sandbox fails."""

    how = "fault"


class HostedGame(HallGame):
    """Ends its process, so it gets one of its own."""

    capabilities = Capabilities(blocking="process")
    how = "kill"


class HostedHangGame(HostedGame):
    """Holds its process."""

    how = "sleep"


class WellHostedGame(toys.RoomsGame):
    """Behaves, in a process of its own."""

    capabilities = Capabilities(blocking="process")


def make_hosted():
    return AgentEnv(HostedGame())


def make_hosted_hang():
    return AgentEnv(HostedHangGame())


def make_well_hosted():
    return AgentEnv(WellHostedGame())


if "toy/Rooms-v0" not in gymnasium.registry:
    agentgym.register("toy/Rooms-v0", "toys:RoomsGame")
