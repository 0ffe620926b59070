"""Bring what is being written to the disk and hash what the disk has, beside the one who writes.

What was written is read back once it is on the disk and out of the page cache: the sha256 is that of
the disk, and is there soon after the last byte. The memory goes back to the model that is served.
"""

import hashlib
import os
import threading

CHUNK_BYTES = 1024 * 1024
# So much is brought to the disk at once, and so much may wait for it.
STRETCH_BYTES = 64 * 1024**2
MOST_WAITING = 4 * STRETCH_BYTES


def drop(number, upto):
    """Have the kernel forget a file up to there, 0 for all of it; only Linux can be told to.

    A person's computer, which runs this for `bramble model pull`, may be another.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(number, 0, upto, os.POSIX_FADV_DONTNEED)


class Settling(threading.Thread):
    """A file up to a mark that moves on: on its disk, and hashed from there."""

    def __init__(self, path, mark=0):
        super().__init__(daemon=True)
        self.path, self.first, self.mark, self.done = path, mark, mark, 0
        self.made, self.error, self.last, self.left = hashlib.sha256(), None, False, False
        self.news = threading.Condition()
        self.start()

    def upto(self, mark):
        """The file is written up to here; wait while the disk is far behind, and raise what it said."""
        with self.news:
            self.mark = mark
            self.news.notify_all()
            self.news.wait_for(self.is_near)
            if self.error:
                raise self.error

    def is_near(self):
        """Whether little waits for the disk; what an earlier run wrote makes nobody wait."""
        catches_up = self.done < self.first
        return self.error or catches_up or self.mark - self.done <= MOST_WAITING

    def leave(self):
        """This file is begun anew, or goes: what was hashed of it means nothing, and it is let go of."""
        with self.news:
            self.last, self.left, self.mark = True, True, 0
            self.news.notify_all()
        self.join()

    def digest(self, total):
        """The sha256 of all of it as hexadecimal, with a counter in MiB while the disk is behind."""
        with self.news:
            self.mark, self.last = total, True
            self.news.notify_all()
        while self.is_alive():
            self.join(1)
            print(f"[{self.done >> 20}/{total >> 20}] MiB", flush=True)
        if self.error:
            raise self.error
        return self.made.hexdigest()

    def run(self):
        """Settle stretch after stretch, and the rest once the mark is the last."""
        try:
            while (to := self.next()) > self.done:
                self.settle(to)
        except OSError as error:
            with self.news:
                self.error = error
                self.news.notify_all()

    def next(self):
        """How far to go now; no further than it is at the end."""
        with self.news:
            self.news.wait_for(lambda: self.last or self.mark - self.done >= STRETCH_BYTES)
            return min(self.mark, self.done + STRETCH_BYTES)

    def settle(self, to):
        """Have the disk take it, drop it from memory, read it back, drop it again."""
        with open(self.path, "rb") as file:
            number, at = file.fileno(), self.done
            os.fsync(number)
            drop(number, 0)
            file.seek(at)
            while at < to and not self.left and (chunk := file.read(min(CHUNK_BYTES, to - at))):
                self.made.update(chunk)
                at += len(chunk)
            drop(number, at)
        with self.news:
            # A file that is shorter than was said has another sha256, and that is all there is to it.
            self.done = to
            self.news.notify_all()
