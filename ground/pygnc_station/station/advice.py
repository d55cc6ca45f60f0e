"""What helps when a driver doubts its readings."""

from typing import Final

from pygnc_devices.emus import unit as emus
from pygnc_devices.opc_n3 import evaluation as opc

ADVICE: Final = {
    opc.NO_PARTICLES: "no particle at all: the fan or the laser does not run (listen!), or the air is very clean",
    opc.LASER: "the laser does not shine as working ones do: power off and on; else the counter needs service",
    opc.FLOW: "the fan moves too little or too much air: dust, a blocked inlet, a weak supply (5 V, short cable)",
    opc.NO_VOLUME: "the counter says that no air went through: the fan does not turn",
    opc.MASS_DIFFERS: "mass and counts contradict each other: its configuration has been changed, or the cable is bad",
    opc.PERIOD: "the sampling period is wrong: does another program talk to the counter?",
    opc.HUMID: "more than 85 % humidity: particles swell, and the mass is too high",
    opc.FULL: "a bin is full: sample more often (interval_s)",
    emus.NO_CELLS: "the unit does not reach its cells: look at the cell communication cable",
    emus.NOT_VALID: "the unit itself says that these values are not valid now",
    emus.IMPLAUSIBLE: "values contradict each other: look at the number of cells in the unit's configuration",
}
"""By the driver's words."""
