"""What holds a Raspberry Pi's clock back while something is measured: a weak supply, or heat.

Bits 0 to 3 of get_throttled (vcgencmd(1)) are the present, 16 to 19 any time since the boot. What
happened before a measurement does not count: only what is set during it, and what was set since it
began.
"""

import glob
import re
import shutil
import subprocess
import threading
import time

FILE = "/sys/devices/platform/soc*/soc*firmware/get_throttled"
ZONE = "/sys/class/thermal/thermal_zone0/temp"
UNDERVOLTAGE = "undervoltage"
WORDS = (UNDERVOLTAGE, "clock capped", "throttled", "soft temperature limit")
COOL_C, COOL_S = 65, 300
TELL_EVERY_S = 15
TIMEOUT_S = 30


def read(path):
    """Return a small file's text; None where it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def vcgencmd(word, pattern):
    """Return what a Raspberry Pi's own tool reports; None without the tool or an answer."""
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run([program, word], capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(pattern, done.stdout)
    return found[1] if found else None


def temperature():
    """Return the processor's temperature in degrees Celsius; None where nothing reports it."""
    said = vcgencmd("measure_temp", r"temp=(-?[\d.]+)")
    if said is not None:
        return float(said)
    zone = read(ZONE)
    return int(zone) / 1000 if zone else None


def bits():
    """Return the bits of get_throttled; None where nothing reports them."""
    said = vcgencmd("get_throttled", r"throttled=0x([0-9a-fA-F]+)")
    for path in [] if said else glob.glob(FILE):
        said = read(path)
    try:
        return int(said, 16) if said else None
    except ValueError:
        return None


def should_tell():
    """Return whether this board reports throttling, so that silence is not good news."""
    return shutil.which("vcgencmd") is not None or bool(glob.glob(FILE))


def words(mask):
    """Return the words for the lowest four bits."""
    return [word for bit, word in enumerate(WORDS) if mask >> bit & 1]


def held_back():
    """Return what holds the clock back right now, in words; nothing where nothing reports it."""
    return words(bits() or 0)


class Watch:
    """What held the clock back since this began; each look adds to it."""

    def __init__(self):
        self.first = bits()
        self.mask, self.silent = (self.first or 0) & 15, self.first is None

    def look(self):
        """Add what is set now, and what was set and cleared since the beginning."""
        found = bits()
        self.silent = self.silent or found is None
        if found is not None:
            before = (found if self.first is None else self.first) >> 16
            self.mask |= found & 15 | (found >> 16 & ~before & 15)
        return self.held

    @property
    def held(self):
        """All of it in words."""
        return words(self.mask)


class Watching(threading.Thread):
    """A watch that looks by itself for as long as a block runs."""

    def __init__(self, every_s):
        super().__init__(daemon=True)
        self.every_s, self.watch, self.over = every_s, Watch(), threading.Event()

    def run(self):
        """Look until the block ends."""
        while not self.over.wait(self.every_s):
            self.watch.look()

    def __enter__(self):
        self.start()
        return self.watch

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.watch.look()


def cool(say, most_s=COOL_S, every_s=2.0):
    """Wait until the board is cool, up to `most_s`; do not wait for a weak supply."""
    began, reported = time.monotonic(), None
    while True:
        warm, held = temperature(), held_back()
        spent = time.monotonic() - began
        cold = not held and (warm is None or warm <= COOL_C)
        if cold or UNDERVOLTAGE in held or spent > most_s:
            return
        if reported is None or spent - reported > TELL_EVERY_S:
            reported = spent
            say(f"{state(warm, held)}: waiting for {COOL_C} °C, {spent:.0f} of {most_s:.0f} s")
        time.sleep(every_s)


def state(warm, held):
    """Describe the board's state."""
    return ", ".join([shown(warm), *held])


def shown(warm):
    """Format a temperature."""
    return "an unknown temperature" if warm is None else f"{warm:.0f} °C"
