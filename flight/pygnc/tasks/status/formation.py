"""The newest that was said of each partner, as fields of the status record."""

import math

from pygnc.bus.messages import ClosestApproach, FormationEstimate, Message
from pygnc.common.clock import week_from_gps_ms
from pygnc.formats.status import PARTNERS, Value

_VARIANCES = (0, 2, 5)
"""Where those of the position stand in the lower triangle of a covariance."""


class PartnersShown:
    """Follows the formation stream."""

    def __init__(self) -> None:
        self._estimates: dict[int, FormationEstimate] = {}
        self._approaches: dict[int, ClosestApproach] = {}

    def take(self, message: Message) -> None:
        """Take a message of the stream."""
        if isinstance(message, FormationEstimate):
            self._estimates[message.partner_id] = message
        elif isinstance(message, ClosestApproach):
            known = self._approaches.get(message.partner_id)
            if known is None or message.through > known.through or message.chi2 < known.chi2:
                self._approaches[message.partner_id] = message

    def fields(self) -> dict[str, Value]:
        """Return the status fields of the partners with the lowest ids."""
        values: dict[str, Value] = {}
        for k, partner_id in enumerate(sorted(self._estimates)[:PARTNERS]):
            fields = _partner_fields(self._estimates[partner_id], self._approaches.get(partner_id))
            values |= {f"partner{k}_{name}": value for name, value in fields.items()}
        return values


def _partner_fields(estimate: FormationEstimate, approach: ClosestApproach | None) -> dict[str, Value]:
    week, tow_ms = week_from_gps_ms(estimate.gps_ms)
    values: dict[str, Value] = {
        "id": estimate.partner_id,
        "ambiguous": estimate.ambiguous,
        "gps_week": week,
        "gps_tow_ms": tow_ms,
    }
    if estimate.position_rtn_m is None or estimate.velocity_rtn_mps is None or estimate.covariance_rtn is None:
        return values
    sigma_m = [math.sqrt(estimate.covariance_rtn[place]) for place in _VARIANCES]
    vectors = {"rtn_m": estimate.position_rtn_m, "rtn_mps": estimate.velocity_rtn_mps, "sigma_m": sigma_m}
    for name, vector in vectors.items():
        values |= {f"{name}_{axis}": value for axis, value in zip("xyz", vector, strict=True)}
    numbers = {
        "bias_m": estimate.range_bias_m,
        "residual_m": estimate.range_residual_m,
        "chi2_best": estimate.chi2_best,
        "chi2_mirror": estimate.chi2_mirror,
    }
    if approach is not None:
        numbers |= {
            "closest_m": approach.distance_m,
            "closest_sigma_m": approach.sigma_m,
            "closest_in_s": (approach.gps_ms - estimate.gps_ms) * 1e-3,
        }
    return values | {name: value for name, value in numbers.items() if value is not None}
