"""Conformance suite of the outputs of stations. The tests of an output inherit the class and provide its settings."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import Device, StationSettings
from pygnc_station.sinks.sink import Delivery, Sink, sink_class
from pygnc_station.store.readings import (
    Column,
    Layout,
    NewReading,
    PlainValue,
    StoredReading,
    Stream,
    clock_ms,
    to_text,
)
from pygnc_station.store.store import Store

MASSES = ("pm_1_ug_m3", "pm_2_5_ug_m3", "pm_10_ug_m3")
LAYOUT = Layout("histogram", (*(Column(name, "µg/m³") for name in MASSES), Column("it's, a=b", ""), Column("empty")))
VALUES: tuple[list[PlainValue], ...] = (
    [1.0, 1.5, 30.0, "a b", None],
    [None] * 5,
    [-0.0, 2**53, True, 'say "x",\ny=µ', 1e300],
)
DEVICE = Device("roof, 7", "opc_n3", "/dev/null")


class SinkConformance(ABC):
    """Properties of every output.

    Attributes:
        name: name of the output, whose settings are `[sinks.NAME]`.
        secret: word in the settings that must not be shown.
    """

    name: ClassVar[str]
    secret: ClassVar[str] = ""

    @abstractmethod
    def other_side(self, folder: Path) -> AbstractContextManager[dict[str, Any]]:
        """Run what receives the readings; the settings of the output are the result."""

    @abstractmethod
    def without_other_side(self, folder: Path) -> dict[str, Any] | None:
        """Return settings for an other side that does not respond; None if that is impossible."""

    def kind(self) -> type[Sink]:
        """Return the class of the output."""
        return sink_class(self.name)

    def station(self, options: dict[str, Any], folder: Path) -> StationSettings:
        return StationSettings(name="roof", folder=str(folder), device=[DEVICE], sinks={self.name: options})

    @pytest.fixture
    def options(self, tmp_path: Path) -> Iterator[dict[str, Any]]:
        with self.other_side(tmp_path) as options:
            yield options

    @pytest.fixture
    def readings(self, store: Store) -> tuple[Stream, list[StoredReading]]:
        stream = store.stream(DEVICE.gadget, LAYOUT, family=DEVICE.family)
        new = [NewReading(clock_ms() + k, 0, 0, "", to_text(row), None) for k, row in enumerate(VALUES)]
        store.append(stream, new)
        stored = [
            StoredReading(number, stream.id, one.t_utc_ms, 0, 0, "", one.content, None)
            for number, one in enumerate(new, start=1)
        ]
        return stream, stored

    def test_it_declares_what_people_and_the_publisher_need(self) -> None:
        kind = self.kind()
        assert kind.title.strip()
        assert isinstance(kind.delivery, Delivery)

    def test_an_unknown_key_is_refused_by_its_name(self, options: dict[str, Any], store: Store, tmp_path: Path) -> None:
        with pytest.raises(StationError, match=rf"sinks\.{self.name}.*no_such_key|no_such_key.*sinks\.{self.name}"):
            self.kind().open(self.station(options | {"no_such_key": 1}, tmp_path), store).close()

    def test_any_values_and_none_at_all_are_accepted(
        self, options: dict[str, Any], store: Store, readings: tuple[Stream, list[StoredReading]], tmp_path: Path
    ) -> None:
        stream, stored = readings
        with closing(self.kind().open(self.station(options, tmp_path), store)) as sink:
            sink.write(stream, stored)
            sink.write(stream, [])
            sink.poll()

    def test_it_can_be_opened_again_after_it_was_closed(
        self, options: dict[str, Any], store: Store, tmp_path: Path
    ) -> None:
        for _ in range(2):
            self.kind().open(self.station(options, tmp_path), store).close()

    def test_the_check_shows_no_secret(self, options: dict[str, Any], tmp_path: Path) -> None:
        try:
            found = self.kind().check(self.station(options, tmp_path), 5.0)
        except (StationError, TransferError) as error:
            found = str(error)
        assert not self.secret or self.secret not in found

    def test_a_missing_other_side_is_a_temporary_failure(
        self, store: Store, readings: tuple[Stream, list[StoredReading]], tmp_path: Path
    ) -> None:
        options = self.without_other_side(tmp_path)
        if options is None or self.kind().delivery is Delivery.NONE:
            return
        with closing(self.kind().open(self.station(options, tmp_path), store)) as sink:
            if sink.delivery is Delivery.EVERY:
                with pytest.raises(TransferError) as caught:
                    sink.write(*readings)
                assert not self.secret or self.secret not in str(caught.value)
            else:
                with pytest.raises(TransferError):
                    self.kind().check(self.station(options, tmp_path), 5.0)
