"""A disk for each node: a small ext4 in a file. It loses power, fills up, is replaced by an empty one, or by an old copy of itself."""

import ctypes
import fcntl
import mmap
import os
import shutil
import struct
import subprocess

import network  # noqa: F401  (makes `support` known)
import support

MEGABYTES = 192
SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
NO_LOG_FLUSH = 2       # not even the journal is written: what a power cut leaves


class Disk:
    def __init__(self, scratch, name):
        self.scratch = scratch
        self.image = scratch.file(f"{name}.image")
        self.folder = scratch.file(name)
        self.filler = os.path.join(self.folder, "filler")
        self.copies = 0
        self.make()

    def make(self):
        support.make_image(self.image, "ext4", MEGABYTES, "-m", "0", "-E", "nodiscard")
        self.mount()

    def mount(self):
        self.scratch.mount(self.folder, "-o", "loop", self.image)

    def cut_power(self):
        """Whatever was not synced is lost, and nothing can be written or synced any more."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, ctypes.c_uint32(NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def write_probe(self):
        """Not synced, so that a power cut takes it."""
        with open(os.path.join(self.folder, "probe"), "wb") as probe:
            probe.write(bytes(4096))

    def has_probe(self):
        path = os.path.join(self.folder, "probe")
        return os.path.exists(path) and os.path.getsize(path) > 0

    def is_dead(self):
        try:
            with open(os.path.join(self.folder, "after"), "wb"):
                return False
        except OSError:
            return True

    def again(self):
        """After the node has ended: mounted anew, by the journal."""
        self.scratch.unmount(self.folder)
        self.mount()

    def fill(self):
        """To the last block."""
        with open(self.filler, "ab", buffering=0) as filler:
            for size in (1 << 20, 4096, 512):
                try:
                    while filler.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue
        return self.free_bytes()

    def free_bytes(self):
        told = os.statvfs(self.folder)
        return told.f_bavail * told.f_frsize

    def make_space(self):
        os.unlink(self.filler)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # else the next power cut brings it back
        finally:
            os.close(folder)

    def wipe(self):
        """After the node has ended: another disk, empty."""
        self.scratch.unmount(self.folder)
        self.make()

    def copy(self):
        """While the node is stopped. Returns the name of the copy."""
        self.scratch.unmount(self.folder)
        self.copies += 1
        name = f"{self.image}.{self.copies}"
        subprocess.run(["cp", "--sparse=always", self.image, name], check=True)
        self.mount()
        return name

    def restore(self, name):
        """After the node has ended."""
        self.scratch.unmount(self.folder)
        shutil.move(name, self.image)
        self.mount()


class Shim:
    """The orders for one node's fault_shim, and what it counted: the table of fault_shim.cpp."""

    WORDS = ["fail_syncs", "sync_delay_us", "wall_offset_s", "failed_syncs", "delayed_syncs", "shifted_reads", "syncs", "reserved"]

    def __init__(self, library, path):
        with open(path, "wb") as empty:
            empty.write(bytes(8 * len(self.WORDS)))
        self.environment = {"LD_PRELOAD": library, "FAULT_SHIM_FILE": path}
        with open(path, "r+b") as shared:
            self.words = mmap.mmap(shared.fileno(), 0)

    def get(self, word):
        return struct.unpack_from("=q", self.words, 8 * self.WORDS.index(word))[0]

    def set(self, word, value):
        struct.pack_into("=q", self.words, 8 * self.WORDS.index(word), value)
