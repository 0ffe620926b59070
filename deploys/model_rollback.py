"""Go back to the model that served before, through the same gate, and stay there."""

from bramble.pyinfra.run import accept, execute, gather_facts
from bramble.pyinfra.upgrade import hold, model_before
from bramble.pyinfra.verification import verify

node = gather_facts(model_before)
accept(node)
execute(node, "serving", "again")
execute(node, "model")
execute(node, "serving")
# It watches what is planned now.
execute(node, "monitoring")
verify(node, "power", "model", "serving")
hold(node)
