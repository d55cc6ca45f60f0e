"""Processor time by the length of the arc."""

from concurrent.futures import ProcessPoolExecutor

from pygnc_ground.campaign.formation import formation_world
from pygnc_ground.campaign.formation_geometry import Kind
from pygnc_ground.campaign.formation_solver import solved
from scripts.bench.formation.cases import MESH_ALL, MESH_ONE, STAR
from scripts.bench.formation.tables import head, line


def print_speed(_seeds: int, _draws: int, _pool: ProcessPoolExecutor) -> None:
    """Processor time of four satellites by the length of the arc."""
    print()
    head("four satellites", "1 h", "3 h", "limit for 3 h")
    worlds = [formation_world(1, Kind.BOUNDED, minutes=60 * hours) for hours in (1, 3)]
    for instruments in (MESH_ALL, MESH_ONE, STAR):
        seconds = [
            min(solved(world, world.records(instruments), world.moments_gps_ms[:1]).seconds for _ in range(2))
            for world in worlds
        ]
        line(instruments.name, *(f"{each:.2f} s" for each in seconds), "5 s")
