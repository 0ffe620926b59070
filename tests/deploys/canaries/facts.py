"""Facts in role code and in an operation; `notes` counts how often each was executed."""

from canary_notes import note
from pyinfra import config, host, state
from pyinfra.api import FactBase, operation
from pyinfra.context import ctx_state


class Probe(FactBase[str]):
    def command(self, caller):
        return f"echo {caller} | tee -a notes"


class NeedsAbsentProgram(FactBase[dict]):
    default = dict
    command = "echo never reached"

    def requires_command(self):
        return "no-such-program-anywhere"


class CutShort(FactBase[list]):
    command = r"printf 'before\n\377\nafter\n'"

    def process(self, output):
        return output


@operation()
def probe_and_change():
    host.get_fact(Probe, "operation")
    yield "echo changed >> notes"


host.get_fact(Probe, "role")
host.get_fact(Probe, "role")
note(f"absent program: {host.get_fact(NeedsAbsentProgram)}")
note(f"not UTF-8: {host.get_fact(CutShort)}")
note(f"check_for_changes: {state.check_for_changes}")
note(f"config.DIFF: {config.DIFF}")
attributes = {name.lower() for name in [*dir(ctx_state.get()), *dir(config)]}
flags = sorted(attributes & {"check_for_changes", "diff", "dry", "dry_run", "is_dry", "yes"})
note(f"flags of state and config: {', '.join(flags)}")
probe_and_change(name="Probe, then change")
