"""The formation's part of the report."""

from dataclasses import dataclass

from pygnc_ground.replay.formation_result import FormationResult, LinkResult
from pygnc_ground.report.attitude_statistics import Row
from pygnc_ground.report.drawing import Chart, report_style
from pygnc_ground.report.figures_approach import approaches
from pygnc_ground.report.figures_formation_planes import planes
from pygnc_ground.report.figures_formation_states import relative_errors, relative_states
from pygnc_ground.report.figures_hypotheses import hypotheses
from pygnc_ground.report.figures_ranges import ranges
from pygnc_ground.report.formation_axis import FormationAxis
from pygnc_ground.report.formation_comparison import JudgedPartner, any_truth, judged_partners
from pygnc_ground.report.formation_statistics import formation_rows
from pygnc_ground.report.glance import Finding
from pygnc_ground.report.glance_formation import formation_findings
from pygnc_ground.report.time_axis import TimeAxis


@dataclass(frozen=True, slots=True)
class FormationSection:
    """What the page says of partners."""

    own_id: int
    partners: tuple[JudgedPartner, ...]
    findings: list[Finding]
    rows: list[Row]
    links: tuple[LinkResult, ...]
    charts: list[Chart]


def formation_section(result: FormationResult | None, time: TimeAxis) -> FormationSection | None:
    """Everything, with figures over the report's time axis; None when no partner was named."""
    if result is None:
        return None
    partners = judged_partners(result)
    axis = FormationAxis(time, result)
    with report_style():
        charts = [planes(partners), relative_states(partners, axis)]
        if any_truth(partners):
            charts.append(relative_errors(partners, axis, result.track_gps_ms))
        charts += [ranges(result.links, axis), hypotheses(result, partners)]
        if result.approaches:
            charts.append(approaches(result, partners))
    return FormationSection(
        own_id=result.own_id,
        partners=partners,
        findings=formation_findings(result, partners),
        rows=formation_rows(result, partners),
        links=result.links,
        charts=charts,
    )
