"""What the range packets of a file say, taken together, for each partner. Constant in memory."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from pygnc.common.constants import SX1280_BANDWIDTH_HZ
from pygnc.formats.ranges import RangeMeasurements
from pygnc_ground.inspection.sections import Listing, Note, Section


@dataclass
class _Partner:
    packets: int = 0
    sum_m: float = 0.0
    sum_m2: float = 0.0
    least_m: float = np.inf
    most_m: float = -np.inf
    sum_rssi_dbm: float = 0.0


class PartnerSummary:
    """Takes decoded range packets in any number of pieces."""

    def __init__(self) -> None:
        self.count = 0
        self._partners: dict[int, _Partner] = {}

    def add(self, ranges: RangeMeasurements) -> None:
        """Look at further packets."""
        self.count += len(ranges)
        for partner_id in np.unique(ranges.partner_id).tolist():
            of_partner = ranges.partner_id == partner_id
            range_m, rssi_dbm = ranges.range_m[of_partner], ranges.rssi_dbm[of_partner]
            partner = self._partners.setdefault(partner_id, _Partner())
            partner.packets += len(range_m)
            partner.sum_m += float(range_m.sum())
            partner.sum_m2 += float(range_m @ range_m)
            partner.least_m = min(partner.least_m, float(range_m.min()))
            partner.most_m = max(partner.most_m, float(range_m.max()))
            partner.sum_rssi_dbm += float(rssi_dbm.sum())

    def sections(self) -> list[Section]:
        """Say what was seen."""
        if not self.count:
            return []
        columns = ("partner", "packets", "least_m", "mean_m", "most_m", "sigma_m", "mean_rssi_dbm")
        rows = [
            (
                *(f"{partner_id} {chr(partner_id)}", partner.packets),
                *(partner.least_m, partner.sum_m / partner.packets, partner.most_m, _sigma_m(partner)),
                partner.sum_rssi_dbm / partner.packets,
            )
            for partner_id, partner in sorted(self._partners.items())
        ]
        caution = Note(
            f"ranges are for a radio bandwidth of {SX1280_BANDWIDTH_HZ / 1e3:.1f} kHz and contain the delay of the pair"
            " of radios, about a kilometre"
        )
        return [Listing("partners", columns, rows), caution]


def _sigma_m(partner: _Partner) -> float:
    mean_m = partner.sum_m / partner.packets
    return sqrt(max(0.0, partner.sum_m2 / partner.packets - mean_m**2))
