"""Make an inference node: every role in order, then its checks and one question to its model."""

from bramble.deploys import (
    base,
    boot,
    engine,
    memory,
    model,
    own,
    power,
    serving,
    storage,
    verify,
    watchdog,
)

base()
storage()
memory()
power()
own(before="boot")
boot()
engine()
model()
serving()
own(after="boot")
watchdog()
verify()
