"""Sync a file while it is being written, and hash what the disk has, in a thread of its own.

What was written is read back once it is on the disk and out of the page cache: the sha256 is that of
the disk, and is known soon after the last byte. The memory goes back to the model that is served.
"""

import hashlib
import os
import threading

CHUNK_BYTES = 1024 * 1024
# How much is synced at once, and how much may wait for that.
STRETCH_BYTES = 64 * 1024**2
MOST_WAITING = 4 * STRETCH_BYTES


def drop(number, upto):
    """Drop a file's pages up to there from the page cache, 0 for all of it; only Linux can do that.

    A person's computer, which runs this for `bramble model pull`, may have another system.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(number, 0, upto, os.POSIX_FADV_DONTNEED)


class Settling(threading.Thread):
    """A file up to a mark that advances: synced, and hashed as the disk has it."""

    def __init__(self, path, mark=0):
        super().__init__(daemon=True)
        self.path, self.first, self.mark, self.done = path, mark, mark, 0
        self.made, self.error, self.last, self.left = hashlib.sha256(), None, False, False
        self.news = threading.Condition()
        self.start()

    def upto(self, mark):
        """Advance the mark; wait while the disk is far behind, and raise its error."""
        with self.news:
            self.mark = mark
            self.news.notify_all()
            self.news.wait_for(self.is_near)
            if self.error:
                raise self.error

    def is_near(self):
        """Return whether little waits for the disk; what an earlier run wrote delays nobody."""
        catches_up = self.done < self.first
        return self.error or catches_up or self.mark - self.done <= MOST_WAITING

    def leave(self):
        """Discard the hash of a file that is written again or removed, and close the file."""
        with self.news:
            self.last, self.left, self.mark = True, True, 0
            self.news.notify_all()
        self.join()

    def digest(self, total):
        """Return the sha256 of the whole file, printing a counter in MiB while the disk is behind."""
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
        """Settle stretch after stretch, and the rest once the mark is final."""
        try:
            while (to := self.next()) > self.done:
                self.settle(to)
        except OSError as error:
            with self.news:
                self.error = error
                self.news.notify_all()

    def next(self):
        """Wait for the next stretch; return its end, or the current position once all is done."""
        with self.news:
            self.news.wait_for(lambda: self.last or self.mark - self.done >= STRETCH_BYTES)
            return min(self.mark, self.done + STRETCH_BYTES)

    def settle(self, to):
        """Sync the file, drop its pages, read it back, and drop them again."""
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
            # A file that is shorter than announced just has another sha256.
            self.done = to
            self.news.notify_all()
