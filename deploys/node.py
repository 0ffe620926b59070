"""Make an inference node: every role in order, then its checks and one question to its model."""

from bramble.deploys import (
    base,
    boot,
    engine,
    firewall,
    gateway,
    memory,
    model,
    monitoring,
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
gateway()
firewall()
own(after="boot")
monitoring()
watchdog()
verify()
