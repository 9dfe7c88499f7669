"""Exchanges record batches with kafka-python, an independent implementation, both ways and with every codec.

usage: record_batch_interop.py RECORD_BATCH_TOOL

Exit code 77: kafka-python is not there, nothing was compared.
"""
import gzip
import os
import random
import subprocess
import sys

try:
    from kafka import codec as kafka_codec
    from kafka.record import default_records
    from kafka.record.memory_records import MemoryRecords
except ImportError as missing:
    print(f"skipped: {missing} (Debian: python3-kafka)")
    sys.exit(77)

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
MODULES = {"none": lambda: True, "gzip": kafka_codec.has_gzip, "snappy": kafka_codec.has_snappy,
           "lz4": kafka_codec.has_lz4, "zstd": kafka_codec.has_zstd}
PACKAGES = {"snappy": "python3-snappy", "lz4": "python3-lz4", "zstd": "python3-zstandard"}
BATCHES = 40


def random_bytes(rng, size_max):
    letters = rng.choice([3, 256])
    return bytes(rng.randrange(letters) for _ in range(rng.randrange(size_max + 1)))


def random_nullable(rng, size_max):
    return None if rng.random() < 0.25 else random_bytes(rng, size_max)


def random_records(rng):
    """Records (offset, timestamp, key, value, headers) from offset 0 on; enough of them that every codec shrinks them."""
    records = []
    for offset in range(rng.choice([1, 2, 30, 200])):
        value = random_nullable(rng, 300) if offset else b"the same words again " * 20
        headers = [("h" * rng.randrange(5), random_nullable(rng, 20)) for _ in range(rng.randrange(4))]
        records.append((offset, 1_700_000_000_000 + rng.randrange(-10**6, 10**6), random_nullable(rng, 20), value, headers))
    return records


def word(value):
    return "-" if value is None else "x" + bytes(value).hex()


def lines_of(records):
    lines = []
    for offset, timestamp, key, value, headers in records:
        words = [str(offset), str(timestamp), word(key), word(value)]
        for name, content in headers:
            words += [word(name.encode()), word(content)]
        lines.append(" ".join(words))
    return lines


def run(tool, arguments, text):
    done = subprocess.run([tool, *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{arguments}: {done.stderr.strip()}")
    return done.stdout


def built_there(records, codec):
    builder = default_records.DefaultRecordBatchBuilder(
        magic=2, compression_type=CODECS[codec], is_transactional=False, producer_id=-1, producer_epoch=-1,
        base_sequence=-1, batch_size=1 << 24)
    for record in records:
        assert builder.append(*record) is not None
    return bytes(builder.build())


def read_there(batch):
    memory = MemoryRecords(batch)
    parsed = memory.next_batch()
    assert parsed.validate_crc(), "kafka-python finds the checksum wrong"
    codec = parsed.compression_type
    records = [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in parsed]
    assert not memory.has_next(), "kafka-python finds a second batch"
    return codec, records


def theirs_to_ours(tool, codec, batches):
    text = "".join(built_there(records, codec).hex() + "\n" for records in batches)
    wanted = "".join("\n".join([f"batch {codec}", *lines_of(records), "", ""]) for records in batches)
    got = run(tool, ["read"], text)
    assert got == wanted, f"{codec}: we read something else than kafka-python wrote"


def ours_to_theirs(tool, codec, batches):
    text = "".join("\n".join([*lines_of(records), "", ""]) for records in batches)
    written = run(tool, ["write", codec], text).split()
    assert len(written) == len(batches), f"{codec}: {len(written)} batches written, wanted {len(batches)}"
    for batch, records in zip(written, batches):
        got_codec, got = read_there(bytes.fromhex(batch))
        assert got_codec == CODECS[codec], f"{codec}: written as {got_codec}"
        assert lines_of(got) == lines_of(records), f"{codec}: kafka-python reads something else than we wrote"


def other_framing(name, replacement):
    """kafka-python with another form of the same codec, as other clients write it."""
    def check(tool, codec, batches):
        original = getattr(default_records, name)
        setattr(default_records, name, replacement)
        try:
            theirs_to_ours(tool, codec, batches)
        finally:
            setattr(default_records, name, original)
    return check


def two_members(data):
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


def streamed_zstd(data):
    stream = kafka_codec.zstd.ZstdCompressor(write_checksum=True, write_content_size=False).compressobj()
    return stream.compress(data) + stream.flush()


def checks():
    for codec in CODECS:
        yield f"kafka-python to us, {codec}", codec, theirs_to_ours
        yield f"us to kafka-python, {codec}", codec, ours_to_theirs
    yield "two gzip members", "gzip", other_framing("gzip_encode", two_members)
    yield "snappy as one raw block", "snappy", other_framing(
        "snappy_encode", lambda data: kafka_codec.snappy_encode(data, xerial_compatible=False))
    yield "lz4 with linked 4 MiB blocks and checksums", "lz4", other_framing(
        "lz4_encode", lambda data: kafka_codec.lz4.compress(
            data, block_linked=True, block_size=kafka_codec.lz4.BLOCKSIZE_MAX4MB, content_checksum=True, block_checksum=True))
    yield "zstd as a stream", "zstd", other_framing("zstd_encode", streamed_zstd)


def main():
    tool = sys.argv[1]
    seed = int(os.environ.get("TROUPE_SEED", "20231"))
    print(f"seed {seed}: repeat with TROUPE_SEED={seed}")
    rng = random.Random(seed)
    batches = [random_records(rng) for _ in range(BATCHES)]
    passed = skipped = failed = 0
    for name, codec, check in checks():
        if not MODULES[codec]():
            print(f"skipped: {name}: no module for {codec} (Debian: {PACKAGES[codec]})")
            skipped += 1
            continue
        try:
            check(tool, codec, batches)
        except AssertionError as error:
            print(f"FAILED: {name}: {error}")
            failed += 1
        else:
            print(f"passed: {name}")
            passed += 1
    print(f"{passed} passed / {skipped} skipped / {failed} failed, {BATCHES} batches each")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
