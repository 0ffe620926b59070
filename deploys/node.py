"""Make an inference node: every role in order, then its checks and one question to its model."""

from bramble.deploys import (
    base,
    boot,
    engine,
    memory,
    model,
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
boot()
engine()
model()
serving()
watchdog()
verify()
