"""Go back to the model that served before, through the same gate, and stay there."""

from bramble.pyinfra.run import accept, begin, bring
from bramble.pyinfra.upgrade import hold, model_before
from bramble.pyinfra.verification import finish

node = begin(model_before)
accept(node)
bring(node, "serving", "again")
bring(node, "model")
bring(node, "serving")
finish(node, "power", "model", "serving")
hold(node)
