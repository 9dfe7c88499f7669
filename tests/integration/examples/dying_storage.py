"""examples/activity/storage.py, which kills itself (kill -9) right before or right after it writes its third batch: the moments at which a
row would get lost, or be there twice.

usage: dying_storage.py before|after ARGUMENTS_OF_STORAGE...
"""

import asyncio
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "examples", "activity"))

import storage  # noqa: E402

moment = sys.argv.pop(1)
real_write = storage.write
batches = 0


def write(database, records):
    global batches
    batches += 1
    if batches == 3 and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real_write(database, records)
    if batches == 3:
        os.kill(os.getpid(), signal.SIGKILL)


storage.write = write
asyncio.run(storage.main())
