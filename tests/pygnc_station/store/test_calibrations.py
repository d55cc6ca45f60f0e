import pytest

from pygnc_station.errors import StationError
from pygnc_station.store.calibrations import DatedCalibration, add, by_value, calibrations, remove
from pygnc_station.store.store import Store

FIRST, SECOND = DatedCalibration(1000, 0.9, -0.4, 0.3), DatedCalibration(2_000_000_000_000, 0.123456789012345, 0.0, 0.0)


def test_calibrations_are_in_effect_one_after_the_other(url: str) -> None:
    with Store.open(url) as store:
        add(store, "OPC_7", "pm_2_5_ug_m3", SECOND, "REF", "{}", 5)
        add(store, "OPC_7", "pm_2_5_ug_m3", FIRST._replace(gain=3.0), "REF", "{}", 6)
        number = add(store, "opc_7", "pm_2_5_ug_m3", FIRST, "REF", '{"hours":720}', 7)
        add(store, "other", "pm_10_ug_m3", FIRST, "REF", "{}", 8)
        with store.reads() as connection:
            assert by_value(connection) == {
                ("opc_7", "pm_2_5_ug_m3"): (FIRST, SECOND),
                ("other", "pm_10_ug_m3"): (FIRST,),
            }
            (found,) = (each for each in calibrations(connection) if each.id == number)
        assert (found.reference, found.report, found.calibration) == ("REF", '{"hours":720}', FIRST)
        remove(store, number)
        with store.reads() as connection:
            assert by_value(connection)["opc_7", "pm_2_5_ug_m3"] == (SECOND,)
        with pytest.raises(StationError, match=f"calibration {number} does not exist"):
            remove(store, number)
