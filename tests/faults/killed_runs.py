"""The two runs whose client is killed at each command: a first provisioning, and an upgrade."""

from dataclasses import dataclass
from typing import ClassVar

from bramble.llama import lock as engine_lock
from bramble.roles.engine.settings import COMMIT
from tests.faults import kill_points
from tests.faults.project import Project

# The programs call themselves by the first nine digits of their commit, which stay.
NEXT = COMMIT[:9] + "1" * 31
# When, the command's name, and which of several: on trial, edited and not rebooted, linked and so on.
Chosen = tuple[str, str, int]


@dataclass
class Provisioning:
    """Several fresh nodes, each provisioned by a client of its own, and mended by one for them all."""

    CHOSEN: ClassVar[tuple[Chosen, ...]] = (
        ("after", "format_disk", 0),
        ("after", "try_ssh", 0),
        ("after", "edit_boot", 0),
        ("after", "reboot", 0),
        ("after", "send .*", -1),
        ("after", "follow fetch_model", 0),
        ("before", "follow serve_release", 0),
    )
    SERVES: ClassVar[bool] = False
    # A clone has its own name again, so that upgrades want none.
    HOSTNAME: ClassVar[str] = "attic"

    names: list[str]
    project: Project

    @classmethod
    def begun(cls, names, virtual_pis, new_project, _source):
        virtual_pis.up(*names)
        return cls(names, new_project(*names, hostname=cls.HOSTNAME))

    def kill(self, node):
        return self.project.deploy(node.name, kill=node.point.kill)

    def deploy(self):
        ended = self.project.deploy(*self.names)
        return [ended.became(name) for name in self.names]

    again = deploy

    def wrong(self):
        return []


@dataclass
class Upgrade:
    """Several nodes that serve, each with an inventory of its own: its lock says what is rolled out."""

    CHOSEN: ClassVar[tuple[Chosen, ...]] = (
        ("after", "install_release", 0),
        ("before", "switch_engine", 0),
        ("amid", "switch_engine", 0),
        ("after", "switch_engine", 0),
        ("before", "follow serve_release", 0),
        ("amid", "follow serve_release", 0),
        ("after", "follow serve_release", 0),
    )
    SERVES: ClassVar[bool] = True

    names: list[str]
    projects: dict[str, Project]

    @classmethod
    def begun(cls, names, virtual_pis, new_project, source):
        virtual_pis.up(*names, clone_of=source)
        return cls(names, {name: new_project(name) for name in names})

    def kill(self, node):
        return self.projects[node.name].upgrade(node.name, NEXT, kill=node.point.kill)

    def again(self):
        ended = kill_points.each(lambda n: self.projects[n].upgrade(n, NEXT), self.names)
        return [(each.code, each.said[-3000:], True) for each in ended]

    def deploy(self):
        ended = kill_points.each(lambda n: self.projects[n].deploy(n), self.names)
        return [each.became(name) for each, name in zip(ended, self.names, strict=True)]

    def wrong(self):
        locks = {name: engine_lock.read(self.projects[name].folder) for name in self.names}
        return [
            f"{n}: {lock}" for n, lock in locks.items() if lock != engine_lock.Lock(commit=NEXT)
        ]
