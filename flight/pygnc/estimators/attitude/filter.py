"""Attitude filter: searches for the attitude, tracks it, and searches again when the track ends.

The filter performs no I/O; the caller provides the environment of each sample. Without it, body rates are available.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from typing import Final

import msgspec
import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.bias_walks import SAMPLES as WALK_SAMPLES
from pygnc.estimators.attitude.measurement_model import Innovation, Verdict
from pygnc.estimators.attitude.measurement_models import measurement_models
from pygnc.estimators.attitude.mekf import (
    AttitudeRejectCause,
    MultiplicativeEkf,
    Standing,
    Track,
    TrackUpdate,
)
from pygnc.estimators.attitude.model_errors import (
    MISLED_SIGMA_RAD,
    ErrorPrior,
    ErrorSize,
    ModelErrors,
    chi_square_limit,
)
from pygnc.estimators.attitude.propagation import AttitudeStep
from pygnc.estimators.attitude.sample import SUCCESSIVE_SAMPLES, AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.search import UNSURE_SIGMA_RAD, Search
from pygnc.estimators.attitude.sensor_health import FaceHealth, GyroHealth, SensorHealth
from pygnc.estimators.attitude.sensor_prior import PRIOR_ROWS, MagnetometerErrors, SensorPrior
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ERRORS, AttitudeState, Flags
from pygnc.estimators.attitude.sun_sensors import is_daylight, light_sources
from pygnc.estimators.attitude.window import WindowSample
from pygnc.estimators.kalman import chi_square, triangular

_SELECTION_SAMPLES: Final = 4
"""Number of samples after which undecided errors are judged, because this takes half as long as an update."""


@unique
class Mode(StrEnum):
    """Accuracy class of the attitude."""

    SEARCHING = "searching"
    """The attitude is unknown."""
    COARSE = "coarse"
    FINE = "fine"
    """The sigma is below `fine_sigma_rad` of the settings."""


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeUpdate:
    """Result of one sample.

    Attributes:
        gps_ms: Time of the sample, GPS ms.
        seq: Sequence number of the sample.
        mode: Accuracy class of the attitude.
        state: Estimate at the sample's time; None if the attitude is unknown.
        rate_body_rad_s: Body rate minus the estimated bias, body axes, shape (3,).
        in_sun: True if a face is bright and, if the environment is known, the satellite is outside the umbra.
        cause: Reason why no measurement of the sample updated a track; None if one did, or during a search.
        faces: Fault counters of the sun sensors.
        gyro: Faults of the gyro axes.
        innovations: Innovations by name of the measurement model, for models with a usable reading.
        nis: Normalised innovation squared of the used measurements; chi-square with `dof` degrees of freedom if the
            filter is consistent.
        dof: Number of measurements used.
        restarted: True if this state begins a track, so it does not follow from the previous state.
        step: Step from the previous state, for the smoother; None without a previous state.
        time_sigma_s: Standard deviation of an error of `gps_ms` that may be common to all samples. The state is that of
            the true instant; relative to `gps_ms`, the attitude has an additional error of this times the body rate.
    """

    gps_ms: int
    seq: int
    mode: Mode
    state: AttitudeState | None
    rate_body_rad_s: Array
    in_sun: bool
    cause: AttitudeRejectCause | None
    faces: FaceHealth
    gyro: GyroHealth
    innovations: Mapping[str, Innovation] = field(default_factory=dict)
    nis: float = 0.0
    dof: int = 0
    restarted: bool = False
    step: AttitudeStep | None = None
    time_sigma_s: float = 0.0


class FilterMemory(msgspec.Struct, forbid_unknown_fields=True):
    """All state of the attitude filter on which later results depend."""

    search: Search
    health: SensorHealth
    track: Track | None = None
    calibrated: MagnetometerErrors | None = None
    errors: ModelErrors = ModelErrors()
    inflation: Array | None = None
    """Standard deviations to add to the error state in the next step, shape (size,); None for none."""
    last_ms: int | None = None
    field_ms: int | None = None
    """GPS ms of the last sample whose modelled magnetic field was strong enough, or was unknown."""
    check: Search | None = None
    """Search beside the track, whose result must agree with it."""
    was_contradicted: bool = False
    """True if rejected readings ended the last track. A search, not a star tracker, must then begin the next one."""
    backwards: tuple[int, int] = (0, 0)
    """Number of successive samples that were not later than `last_ms`, and the GPS ms of the last of them."""


class AttitudeFilter:
    """Filter that estimates attitudes from samples; about 0.2 ms each once the attitude is known, constant memory.

    Args:
        settings: Settings of the filter.
        memory: Memory of an earlier filter, from which this one continues bit for bit; None for a new filter.

    Attributes:
        memory: State to save, from which a restarted task continues.
    """

    def __init__(self, settings: AttitudeSettings, memory: FilterMemory | None = None) -> None:
        self.settings = settings
        self._models = measurement_models(settings)
        self._ekf = MultiplicativeEkf(settings, self._models)
        self._priors: dict[tuple[ErrorSize, ...], list[ErrorPrior]] = {}
        search = Search(settings, SensorPrior.initial(settings, ModelErrors()))
        self.memory = memory or FilterMemory(search, SensorHealth.unknown(settings.mounting.faces))

    @property
    def state(self) -> AttitudeState | None:
        """Estimate after the last sample; None while the attitude is unknown."""
        track = self.memory.track
        return None if track is None or not track.is_reported else track.state

    @property
    def mag_bias_ut(self) -> Array | None:
        """Bias of corrected magnetometer readings, sensor axes, uT, shape (3,); None if not known to 5 uT."""
        if self.state is not None:
            return self.state.mag_bias_ut
        prior = self.memory.search.prior
        return prior.mean[3:6] if prior.is_field_direction_known else None

    def process(self, sample: AttitudeSample, environment: AttitudeEnvironment | None) -> AttitudeUpdate:
        """Process one sample.

        Args:
            sample: The next sample in time.
            environment: Environment at its time; None if the orbit is unknown. A track is propagated through such
                samples by the gyro alone, until its attitude is as good as unknown.
        """
        memory = self.memory
        if not _finite(sample):
            return self._result(sample, environment, None, AttitudeRejectCause.NOT_FINITE)
        if memory.last_ms is not None and sample.gps_ms <= memory.last_ms and not self._clock_was_set(sample):
            return self._result(sample, environment, None, AttitudeRejectCause.NOT_LATER)
        memory.last_ms, memory.backwards = sample.gps_ms, (0, 0)
        if environment is not None and environment.field_is_weak(self.settings.magnetometer):
            sample, without_max_s = replace(sample, field_unusable=True), self.settings.start.without_field_max_s
            if memory.field_ms is not None and sample.gps_ms - memory.field_ms > 1e3 * without_max_s:
                self._abandon_track()
        else:
            memory.field_ms = sample.gps_ms
        before = memory.health.gyro.stuck
        gyro = memory.health.gyro.updated(sample.gyro_imu_rad_s, self.settings.gyro)
        memory.health = memory.health._replace(gyro=gyro)
        if np.count_nonzero(gyro.beyond_range):
            self._abandon_track()
        if memory.track is not None:
            track = self._widened(memory.track, gyro.stuck & ~before)
            return self._update_track(track, sample, environment)
        return self._update_search(sample, environment)

    def set_calibration(self, calibrated: MagnetometerErrors) -> None:
        """Use this calibration in searches if its bias is more accurate than theirs; end a track that contradicts it.

        A track that began with the attitude of a sensor is not ended.
        """
        self.memory.calibrated, track = calibrated, self.memory.track
        if track is None:
            search = self.memory.search
            search.prior = search.prior.calibrated(calibrated, self.settings, search.errors)
        elif track.standing is not Standing.MEASURED:
            difference = calibrated.disagreement(track.state, track.warmth)
            if difference > chi_square_limit(3):
                self._abandon_wrong_track()

    # --- Track -----------------------------------------------------------------------------------------------------

    def _update_track(
        self, track: Track, sample: AttitudeSample, environment: AttitudeEnvironment | None
    ) -> AttitudeUpdate:
        memory, settings = self.memory, self.settings
        update = self._ekf.process(
            track,
            sample,
            environment,
            memory.health,
            time_tags=memory.errors.time_tags,
            inflation=memory.inflation,
            walks=memory.errors.bias_walks,
        )
        memory.health = update.health
        state = update.track.state
        walks = memory.errors.bias_walks.rebased(update.linear, state)
        before = memory.errors._replace(time_tags=update.time_tags, bias_walks=walks)
        misfits = {name: one.misfit for name, one in update.track.memories.items()}
        implausible = [prior.name for prior in self._priors_of(before) if prior.is_contradicted(state)]
        memory.errors = before.detected(misfits, update.track.samples, implausible)
        memory.inflation = None if memory.errors is before else memory.errors.variance_inflation(before, settings)
        if update.track.samples % _SELECTION_SAMPLES == 0:
            memory.errors, selected = memory.errors.selected(state, settings)
            if selected is not state:
                update = replace(update, track=update.track._replace(state=selected))
        memory.track = update.track if memory.inflation is None else update.track.without_misfits()
        # A sensor that was found small is then large; estimates of other sensors can only be those of a wrong track.
        self._judge(update, is_implausible=any(getattr(before, name) is not ErrorSize.SMALL for name in implausible))
        if memory.track is not None:
            if memory.track.standing is Standing.CONFIRMED and memory.track.state.attitude_sigma_rad > UNSURE_SIGMA_RAD:
                memory.track = memory.track._replace(standing=Standing.FOUND)
            self._judge_walks(memory.track, update.step.noise_sigma[ERRORS.biases])
        if memory.track is not None and not memory.track.is_confirmed:
            self._check(memory.track, sample, environment)
        unused = AttitudeRejectCause.NO_ENVIRONMENT if environment is None else AttitudeRejectCause.GATE
        if memory.track is None:
            return self._result(sample, environment, None, unused)
        if not memory.track.is_reported:
            return self._result(sample, environment, None, None)
        if not track.is_reported:
            return self._result(sample, environment, memory.track, None, restarted=True)
        return self._result(sample, environment, memory.track, None if update.dof else unused, update)

    def _priors_of(self, errors: ModelErrors) -> list[ErrorPrior]:
        """Return `errors.priors`, which are kept because the sizes of the errors rarely change."""
        sizes = errors.magnetometer, errors.sun_sensors, errors.gyro, errors.magnetometer_thermal
        if sizes not in self._priors:
            self._priors[sizes] = errors.priors(self.settings)
        return self._priors[sizes]

    def _judge_walks(self, track: Track, sigma: Array) -> None:
        """Judge the random walks of the biases from time to time; `sigma` (6,) is the noise of the step on them."""
        memory = self.memory
        walks = memory.errors.bias_walks.after_step(sigma)
        # The first updates, which are far from linear, say nothing of the biases.
        if not track.is_confirmed or memory.inflation is not None or np.count_nonzero(memory.health.gyro.stuck):
            memory.errors = memory.errors._replace(bias_walks=walks.interrupted())
        elif track.samples % WALK_SAMPLES == 0:
            memory.errors = memory.errors._replace(bias_walks=walks.judged(track.state, track.warmth))
        else:
            memory.errors = memory.errors._replace(bias_walks=walks)

    def _judge(self, update: TrackUpdate, *, is_implausible: bool) -> None:
        """Abandon a track that readings or implausible sensor errors contradict, or whose uncertainty is too large."""
        memory, track = self.memory, update.track
        is_supported = any(one.is_evidence and one.is_used for one in update.innovations.values())
        verdicts = [
            (model, model.verdict(track.memories[model.name], is_supported=is_supported))
            for model in self._models
            if model.name in track.memories
        ]
        is_rejected = any(verdict is Verdict.WRONG for _, verdict in verdicts)
        if is_rejected or is_implausible:
            self._abandon_wrong_track()
            return
        if update.step.state.attitude_sigma_rad > self.settings.start.unknown_sigma_rad:
            # A linearised update is not reliable with such a large uncertainty.
            self._abandon_track()
            return
        for model, verdict in verdicts:
            if verdict is Verdict.OWN_BIAS and memory.track is not None:
                left, memory.inflation = model.reopened(memory.track.memory(model.name))
                memory.track = memory.track.with_memory(model.name, left)._replace(samples=0)

    def _check(self, track: Track, sample: AttitudeSample, environment: AttitudeEnvironment | None) -> None:
        """Search for the attitude beside a track; abandon the track if two results in a row disagree with it."""
        memory, settings = self.memory, self.settings
        # The field alone leaves wrong attitudes that fit, so only samples in sunlight count.
        if environment is None or environment.sunlit_fraction <= 0.0 or not self._is_searchable(environment):
            memory.check = None
            return
        if memory.check is None or memory.check.received >= settings.start.window_samples:
            prior = SensorPrior.initial(settings, memory.errors)
            prior = prior.calibrated(memory.calibrated, settings, memory.errors)
            memory.check = Search(settings, prior, memory.errors)
            # A face that is known to be faulty would mislead it.
            memory.check.excluded_face = next(iter(np.flatnonzero(~memory.health.faces.trusted).tolist()), None)
        found = memory.check.process(WindowSample(sample, environment, light_sources(environment, settings)))
        if found is None:
            return
        memory.check = None
        if not _disagree(found, track.state):
            memory.track = track._replace(standing=Standing.CONFIRMED)
        elif track.standing is Standing.DOUBTED:
            self._abandon_wrong_track()
        else:
            # Either of the two may be wrong.
            memory.track = track._replace(standing=Standing.DOUBTED)

    def _is_searchable(self, environment: AttitudeEnvironment) -> bool:
        """Return True if a search can use a sample: the field is strong, and all gyro axes are within their range."""
        is_weak = environment.field_is_weak(self.settings.magnetometer)
        return not is_weak and not np.count_nonzero(self.memory.health.gyro.beyond_range)

    def _abandon_wrong_track(self) -> None:
        """End a track that is contradicted; with a wrong attitude, the estimated biases are wrong, too."""
        self._abandon_track(keep_biases=False)
        self.memory.was_contradicted = True

    def _widened(self, track: Track, stuck: Flags) -> Track:
        """Return the track with the gyro bias of the stuck axes reset to unknown."""
        if not np.count_nonzero(stuck):
            return track
        column = np.zeros((len(track.state.sqrt_covariance), 3))
        column[ERRORS.gyro_bias] = np.diag(stuck * self.settings.gyro.bias_sigma_rad_s)
        # Since the axis began to repeat its reading, the attitude was propagated with a wrong rate.
        column[ERRORS.attitude] = MISLED_SIGMA_RAD * np.eye(3)
        state = track.state
        root = triangular(np.concatenate((state.sqrt_covariance, column), axis=1))
        return track._replace(state=AttitudeState(state.gps_ms, state.quaternion, state.slow, root))

    def _abandon_track(self, *, keep_biases: bool = True) -> None:
        """End the track, if any, and begin a search whose prior has the biases of the track or, if wrong, no biases."""
        memory = self.memory
        if memory.track is None:
            return
        track, settings = memory.track, self.settings
        initial = SensorPrior.initial(settings, memory.errors)
        kept = SensorPrior.kept(track.state, track.warmth, settings, memory.errors)
        prior = kept if keep_biases else initial
        prior = prior.calibrated(memory.calibrated, settings, memory.errors)
        # A short track was probably wrong, so the samples before it count towards a search without hope.
        searched = memory.search.received if memory.track.samples < settings.start.full_rate_samples else 0
        memory.track, memory.inflation, memory.check = None, None, None
        memory.errors = memory.errors._replace(bias_walks=memory.errors.bias_walks.interrupted())
        memory.search = Search(settings, prior, memory.errors, received=searched)

    def _clock_was_set(self, sample: AttitudeSample) -> bool:
        """Count a sample that is not later than the last one; return True and begin a search if the clock was set back.

        The clock was set back if three such samples in a row are in ascending order.
        """
        memory = self.memory
        count, last_ms = memory.backwards
        memory.backwards = (count + 1 if sample.gps_ms > last_ms else 1), sample.gps_ms
        if memory.backwards[0] < SUCCESSIVE_SAMPLES:
            return False
        if memory.track is None:
            memory.search = Search(self.settings, memory.search.prior, memory.errors)
        self._abandon_track()
        return True

    # --- Search ----------------------------------------------------------------------------------------------------

    def _update_search(self, sample: AttitudeSample, environment: AttitudeEnvironment | None) -> AttitudeUpdate:
        memory = self.memory
        if environment is not None and not memory.health.gyro.beyond_range.any() and not memory.was_contradicted:
            measured = self._measured_state(sample, environment.warmth)
            if measured is not None:
                track = Track(measured, sample.gyro_imu_rad_s, standing=Standing.MEASURED, warmth=environment.warmth)
                memory.track = self._widened(track, memory.health.gyro.stuck)
                memory.search = Search(self.settings, memory.search.prior, memory.errors)
                return self._result(sample, environment, memory.track, None, restarted=True)
        if environment is None or not self._is_searchable(environment):
            memory.search.reset()
            cause = AttitudeRejectCause.NO_ENVIRONMENT if environment is None else None
            return self._result(sample, environment, None, cause)
        sources = light_sources(environment, self.settings)
        first = memory.search.process(WindowSample(sample, environment, sources))
        if first is None:
            return self._result(sample, environment, None, None)
        # In the dark, only field and gyro tell attitudes apart, and no second search confirms one.
        is_uncertain = first.attitude_sigma_rad > self.settings.start.unconfirmed_sigma_max_rad
        is_uncertain |= not environment.sunlit_fraction
        is_uncertain |= not memory.search.has_turned(first)
        standing = Standing.TENTATIVE if is_uncertain else Standing.FOUND
        track = Track(first, sample.gyro_imu_rad_s, standing=standing, warmth=environment.warmth)
        memory.track = self._widened(track, memory.health.gyro.stuck)
        if memory.search.excluded_face is not None:
            suspected = memory.health.faces.with_suspect(memory.search.excluded_face)
            memory.health = memory.health._replace(faces=suspected)
        memory.errors, memory.was_contradicted = memory.search.errors, False
        searched = memory.search.received
        memory.search = Search(self.settings, memory.search.prior, memory.errors, received=searched)
        shown = None if is_uncertain else memory.track
        return self._result(sample, environment, shown, None, restarted=shown is not None)

    def _measured_state(self, sample: AttitudeSample, warmth: float) -> AttitudeState | None:
        """Return a first state from the attitude that a sensor measures by itself; None if no sensor does."""
        memory, settings = self.memory, self.settings
        measured = next(filter(None, (model.attitude(sample) for model in self._models)), None)
        if measured is None:
            return None
        attitude, attitude_root = measured
        prior, sigma = memory.search.prior.warmed(warmth), memory.errors.sigma(settings)
        slow = np.zeros(len(sigma) - ERRORS.attitude.stop)
        sigma[ERRORS.gyro_scale], sigma[ERRORS.field_error] = (
            settings.gyro.scale_sigma,
            settings.magnetometer.field_error_ut,
        )
        sigma[ERRORS.reflectivity] = settings.sun_sensors.reflectivity_sigma
        slow[PRIOR_ROWS - ERRORS.attitude.stop], slow[ERRORS.in_slow(ERRORS.reflectivity).start] = (
            prior.mean,
            settings.sun_sensors.reflectivity,
        )
        root = np.diag(sigma)
        root[np.ix_(PRIOR_ROWS, PRIOR_ROWS)] = np.linalg.cholesky(prior.covariance)
        root[ERRORS.attitude, ERRORS.attitude] = attitude_root
        return AttitudeState(sample.gps_ms, attitude, slow, root)

    # --- Results ---------------------------------------------------------------------------------------------------

    def _result(
        self,
        sample: AttitudeSample,
        environment: AttitudeEnvironment | None,
        track: Track | None,
        cause: AttitudeRejectCause | None,
        update: TrackUpdate | None = None,
        *,
        restarted: bool = False,
    ) -> AttitudeUpdate:
        """Return the result of a sample; `track` is None if the attitude at the time of the sample is unknown."""
        memory, settings = self.memory, self.settings
        if track is not None:
            fine = track.state.attitude_sigma_rad < settings.start.fine_sigma_rad
            mode = Mode.FINE if fine else Mode.COARSE
            rate_body_rad_s = self._ekf.motion.rate_body_rad_s(sample.gyro_imu_rad_s, track.state)
        else:
            mode = Mode.SEARCHING
            prior = memory.search.prior if environment is None else memory.search.prior.warmed(environment.warmth)
            bias = prior.mean[:3] if memory.track is None else memory.track.state.gyro_bias_rad_s
            rate_body_rad_s = (sample.gyro_imu_rad_s - bias).dot(settings.mounting.gyro)
        bright = is_daylight(sample.lux, settings.sun_sensors)
        return AttitudeUpdate(
            gps_ms=sample.gps_ms,
            seq=sample.seq,
            mode=mode,
            state=None if track is None else track.state,
            rate_body_rad_s=rate_body_rad_s,
            in_sun=bright and (environment is None or environment.sunlit_fraction > 0.0),
            cause=cause,
            faces=memory.health.faces,
            gyro=memory.health.gyro,
            innovations={} if update is None else update.innovations,
            nis=0.0 if update is None else update.nis,
            dof=0 if update is None else update.dof,
            restarted=restarted,
            step=None if update is None else update.step,
            time_sigma_s=memory.errors.time_tags.common_sigma_s(sample.time_sigma_s),
        )


def _disagree(one: AttitudeState, other: AttitudeState) -> bool:
    """Return True if two independent estimates differ in attitude or biases by more than their errors explain."""
    rows = slice(ERRORS.attitude.start, ERRORS.biases.stop)
    root = np.concatenate([state.sqrt_covariance[rows] for state in (one, other)], axis=1)
    return chi_square(other.error_to(one)[rows], root.dot(root.T)) > chi_square_limit(len(root))


def _finite(sample: AttitudeSample) -> bool:
    # One sum of squares per array is faster than a test of each element; it is finite only if all elements are.
    parts = (sample.mag_imu_ut, sample.gyro_imu_rad_s, sample.lux, *sample.readings.values())
    return all(math.isfinite(part.dot(part)) for part in parts)
