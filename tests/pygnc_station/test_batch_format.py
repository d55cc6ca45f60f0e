"""Files of batches."""

import gc
from contextlib import closing
from pathlib import Path

import pytest

from pygnc_station.batch_format import BatchWriter


def test_a_file_on_a_full_disk_is_closed() -> None:
    """Python reports a file that is not, which is an error in tests."""
    with pytest.raises(OSError, match="No space"), closing(BatchWriter(Path("/dev/full"), 0)) as writer:
        writer.add("readings.csv", [b"1,2\n"])
    del writer
    gc.collect()
