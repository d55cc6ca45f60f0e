"""Fields of GNSS data: fixes, satellites, observations, corrections, ephemerides; see `fields`.

Source: MIP SDK of MicroStrain (`definitions/data_gnss.h`). The three ephemerides of Keplerian elements have one layout.
"""

from typing import Final

from pygnc_devices.declaration import Field, Labels, word
from pygnc_devices.mip.data_field import (
    DEGREE,
    POSITION,
    DataField,
    bits,
    checked,
    choice,
    gps_time,
    ned,
    number,
    numbered,
    numbers,
    received,
)
from pygnc_devices.units import ACCELERATION, ANGLE, LENGTH, NONE, RATE, TIME, VELOCITY

_FIX_TYPES: Final = choice("3D", "2D", "time only", "none", "invalid", "RTK float", "RTK fixed", "differential")
_POWER: Final = choice("off", "on", "?")
_SYSTEMS: Final = choice("?", "GPS", "GLONASS", "Galileo", "BeiDou", "SBAS")
_INTERFERENCE: Final = choice("?", "none", "partial", "significant")
_QUALITY: Final = choice("none", "searching", "acquired", "unusable", "time locked", "fully locked")
_BASE_INDICATORS: Final = bits("GPS", "GLONASS", "Galileo", "BeiDou", "reference", "single receiver", "qc 1", "qc 2")
_RTK_STATUS: Final = bits(
    "antenna location",
    "antenna description",
    "GPS",
    "GLONASS",
    "Galileo",
    "BeiDou",
    "GPS MSM",
    "GLONASS MSM",
    "modem not read",
)
_SIGNALS: Final = Labels(
    {0: "?"}
    | {
        start + k: f"{system} {signal}"
        for start, system, signals in (
            (1, "GPS", "L1CA L1P L1Z L2CA L2P L2Z L2CL L2CM L2CML L5I L5Q L5IQ L1CD L1CP L1CDP"),
            (32, "GLONASS", "G1CA G1P G2C G2P"),
            (64, "Galileo", "E1C E1A E1B E1BC E1ABC E6C E6A E6B E6BC E6ABC"),
            (74, "Galileo", "E5BI E5BQ E5BIQ E5ABI E5ABQ E5ABIQ E5AI E5AQ E5AIQ"),
            (96, "SBAS", "L1CA L5I L5Q L5IQ"),
            (128, "QZSS", "L1CA LEXS LEXL LEXSL L2CM L2CL L2CML L5I L5Q L5IQ L1CD L1CP L1CDP"),
            (160, "BeiDou", "B1I B1Q B1IQ B3I B3Q B3IQ B2I B2Q B2IQ B2A"),
        )
        for k, signal in enumerate(signals.split())
    }
)


def _differential(descriptor: int, name: str) -> DataField:
    return checked(
        descriptor,
        name,
        word(f"{name}_satellite", "B", "number of the satellite"),
        number(f"{name}_age_s", TIME, "age of the correction"),
        number(f"{name}_range_correction_m", LENGTH, "correction of the pseudorange"),
        number(f"{name}_rate_correction_mps", VELOCITY, "correction of the range rate"),
        meaning="differential correction",
    )


def _kepler_ephemeris(descriptor: int, name: str, system: str) -> DataField:
    prefix = f"{name}_eph"

    def one(end: str, meaning: str) -> Field:
        return word(f"{prefix}_{end}", "d", meaning)

    return checked(
        descriptor,
        f"{name}_ephemeris",
        *numbered(prefix),
        *received(prefix),
        word(f"{prefix}_satellite", "B", "number of the satellite"),
        word(f"{prefix}_health", "B", "health of satellite and signals"),
        word(f"{prefix}_iodc", "B", "issue of the clock data, modulo 4"),
        word(f"{prefix}_iode", "B", "issue of the ephemeris"),
        number(f"{prefix}_toc_s", TIME, "time of week of the clock data", code="d"),
        number(f"{prefix}_af0_s", TIME, "clock bias", code="d"),
        one("af1", "clock drift, s/s"),
        one("af2", "clock drift rate, s/s²"),
        number(f"{prefix}_tgd_s", TIME, "group delay", code="d"),
        number(f"{prefix}_isc_l1ca_s", TIME, "inter-signal correction of L1", code="d"),
        number(
            f"{prefix}_isc_l2c_s",
            TIME,
            "inter-signal correction of L2; of L5, if bit 2 of the valid bits is set",
            code="d",
        ),
        number(f"{prefix}_toe_s", TIME, "time of week of the ephemeris", code="d"),
        number(f"{prefix}_a_m", LENGTH, "semi-major axis", code="d"),
        number(f"{prefix}_a_dot_mps", VELOCITY, "rate of the semi-major axis", code="d"),
        number(f"{prefix}_m0_rad", ANGLE, "mean anomaly", code="d"),
        one("delta_n", "difference of the mean motion, rad/s; the SDK states rad"),
        one("delta_n_dot", "rate of this difference, rad/s²; the SDK states rad/s"),
        one("eccentricity", "eccentricity"),
        number(f"{prefix}_perigee_rad", ANGLE, "argument of perigee", code="d"),
        number(f"{prefix}_node_rad", ANGLE, "longitude of the ascending node", code="d"),
        number(f"{prefix}_node_rate_rad_s", RATE, "rate of the right ascension", None, f"{prefix}_node_rate", "d"),
        number(f"{prefix}_inclination_rad", ANGLE, "inclination", code="d"),
        number(f"{prefix}_i_dot_rad_s", RATE, "rate of the inclination", None, f"{prefix}_i_dot", "d"),
        *(one(f"c{end}", f"harmonic correction C_{end}") for end in ("ic", "is", "uc", "us", "rc", "rs")),
        meaning=f"ephemeris of {system}, one field for each satellite",
    )


def _klobuchar(descriptor: int, name: str, system: str, *more: Field) -> DataField:
    return checked(
        descriptor,
        f"{name}_ionosphere",
        *received(f"{name}_iono"),
        *numbers(f"{name}_alpha", 4, NONE, "", "coefficient alpha of the delay"),
        *numbers(f"{name}_beta", 4, NONE, "", "coefficient beta of the delay"),
        *more,
        meaning=f"ionosphere by {system}",
    )


GNSS: Final = (
    checked(
        0x03,
        "position",
        *POSITION,
        number("height_msl_m", LENGTH, "height above mean sea level", code="d"),
        number("horizontal_accuracy_m", LENGTH, "horizontal accuracy"),
        number("vertical_accuracy_m", LENGTH, "vertical accuracy"),
    ),
    checked(
        0x04,
        "position_ecef",
        *(number(f"ecef_{axis}_m", LENGTH, f"position in ECEF, {axis}", code="d") for axis in "xyz"),
        number("ecef_accuracy_m", LENGTH, "accuracy of the position"),
    ),
    checked(
        0x05,
        "velocity",
        *ned("velocity", VELOCITY, "_mps", "velocity"),
        number("speed_mps", VELOCITY, "speed"),
        number("ground_speed_mps", VELOCITY, "horizontal speed"),
        number("heading_rad", ANGLE, "direction of the velocity", DEGREE, "heading"),
        number("speed_accuracy_mps", VELOCITY, "accuracy of the speed"),
        number("heading_accuracy_rad", ANGLE, "accuracy of the heading", DEGREE, "headingAccuracy"),
    ),
    checked(
        0x06,
        "velocity_ecef",
        *(number(f"ecef_v{axis}_mps", VELOCITY, f"velocity in ECEF, {axis}") for axis in "xyz"),
        number("ecef_velocity_accuracy_mps", VELOCITY, "accuracy of the velocity"),
    ),
    checked(0x07, "dop", *(word(f"{k}dop", "f", f"dilution of precision, {k.upper()}DOP") for k in "gphvtne")),
    checked(
        0x08,
        "utc",
        word("utc_year", "H", "year"),
        *(word(f"utc_{name}", "B", name) for name in ("month", "day", "hour", "minute", "second")),
        word("utc_ms", "I", "milliseconds"),
        meaning="UTC",
    ),
    gps_time(0x09, "gps_time"),
    checked(
        0x0A,
        "clock",
        number("clock_bias_s", TIME, "error of the receiver's clock", code="d"),
        word("clock_drift", "d", "drift of the receiver's clock, s/s"),
        number("clock_accuracy_s", TIME, "accuracy of the error of the clock", code="d"),
    ),
    checked(
        0x0B,
        "fix",
        word("fix_type", "B", "kind of the fix", labels=_FIX_TYPES),
        word("satellites", "B", "number of satellites used"),
        word("fix_flags", "H", "corrections used", labels=bits("SBAS", "DGNSS")),
    ),
    checked(
        0x0C,
        "satellite",
        word("satellite_channel", "B", "channel of the receiver"),
        word("satellite_id", "B", "number of the satellite"),
        word("satellite_cn0_dbhz", "H", "ratio of carrier and noise density, dB-Hz"),
        number("satellite_azimuth_rad", ANGLE, "azimuth of the satellite", DEGREE, code="h"),
        number("satellite_elevation_rad", ANGLE, "elevation of the satellite", DEGREE, code="h"),
        word("satellite_flags", "H", "state of the satellite", labels=bits("used", "healthy")),
        meaning="satellite, one field for each",
    ),
    checked(
        0x0D,
        "hardware",
        word("receiver_state", "B", "power of the receiver", labels=_POWER),
        word("antenna_state", "B", "antenna", labels=choice("initialising", "short", "open", "good", "?", start=1)),
        word("antenna_power", "B", "power of the antenna", labels=_POWER),
        meaning="receiver and antenna",
    ),
    _differential(0x0E, "dgps"),
    _differential(0x0F, "dgps_channel"),
    checked(
        0x10,
        "clock_2",
        number("clock_2_bias_s", TIME, "error of the receiver's clock", code="d"),
        word("clock_2_drift", "d", "drift of the receiver's clock, s/s"),
        number("clock_2_bias_accuracy_s", TIME, "accuracy of the error of the clock", code="d"),
        word("clock_2_drift_accuracy", "d", "accuracy of the drift, s/s"),
    ),
    checked(0x11, "leap_seconds", word("leap_seconds_s", "B", "GPS time minus UTC", TIME)),
    checked(
        0x12,
        "sbas",
        *received("sbas"),
        word("sbas_system", "B", "augmentation system", labels=choice("?", "WAAS", "EGNOS", "MSAS", "GAGAN")),
        word("sbas_satellite", "B", "number of the augmentation satellite"),
        word("sbas_corrections", "B", "number of corrections"),
        word("sbas_status", "B", "service", labels=bits("ranging", "corrections", "integrity", "test mode")),
        meaning="augmentation system",
    ),
    checked(
        0x13,
        "sbas_correction",
        *numbered("sbas_correction"),
        *received("sbas_correction"),
        word("sbas_correction_gnss", "B", "system of the satellite", labels=_SYSTEMS),
        word("sbas_correction_satellite", "B", "number of the satellite"),
        word("sbas_udrei", "B", "indicator of the range error; 14 not monitored, 15 do not use"),
        number("sbas_range_correction_m", LENGTH, "correction of the pseudorange"),
        number("sbas_iono_correction_m", LENGTH, "correction for the ionosphere"),
        meaning="correction for a satellite, one field for each",
    ),
    checked(
        0x14,
        "interference",
        word("rf_band", "B", "band", labels=Labels({0: "?", 1: "L1", 2: "L2", 5: "L5"})),
        word("jamming_state", "B", "jamming", labels=_INTERFERENCE),
        word("spoofing_state", "B", "spoofing", labels=_INTERFERENCE),
        meaning="jamming and spoofing in a band",
        reserved=4,
    ),
    checked(
        0x20,
        "satellite_status",
        *numbered("sv"),
        *received("sv"),
        word("sv_gnss", "B", "system of the satellite", labels=_SYSTEMS),
        word("sv_id", "B", "number of the satellite"),
        number("sv_elevation_rad", ANGLE, "elevation of the satellite", DEGREE),
        number("sv_azimuth_rad", ANGLE, "azimuth of the satellite", DEGREE),
        word("sv_is_healthy", "B", "1 if the satellite is healthy"),
        meaning="satellite, one field for each",
    ),
    checked(
        0x22,
        "raw",
        *numbered("raw"),
        *received("raw"),
        word("raw_receiver", "H", "number of the receiver; of an observation by RTCM, of the reference station"),
        word("raw_channel", "B", "channel of the receiver"),
        word("raw_gnss", "B", "system of the satellite", labels=_SYSTEMS),
        word("raw_satellite", "B", "number of the satellite"),
        word("raw_signal", "B", "signal", labels=_SIGNALS),
        word("raw_cn0_dbhz", "f", "ratio of carrier and noise density, dB-Hz"),
        word("raw_quality", "B", "quality of the signal", labels=_QUALITY),
        number("raw_pseudorange_m", LENGTH, "pseudorange", code="d"),
        word("raw_carrier_phase_cycles", "d", "carrier phase, cycles"),
        word("raw_doppler_hz", "f", "Doppler shift, Hz"),
        number("raw_pseudorange_sd_m", LENGTH, "standard deviation of the pseudorange"),
        word("raw_carrier_phase_sd_cycles", "f", "standard deviation of the carrier phase, cycles"),
        word("raw_doppler_sd_hz", "f", "standard deviation of the Doppler shift, Hz"),
        number("raw_lock_time_s", TIME, "time since the carrier phase was locked, at least"),
        meaning="observation of a signal, one field for each",
    ),
    checked(
        0x30,
        "base_station",
        *received("base"),
        *(number(f"base_ecef_{axis}_m", LENGTH, f"position in ECEF, {axis}", code="d") for axis in "xyz"),
        number("base_antenna_height_m", LENGTH, "height of the antenna above the marker"),
        word("base_id", "H", "number of the station"),
        word("base_indicators", "H", "properties of the station", labels=_BASE_INDICATORS),
        meaning="base station, RTCM 1005 and 1006",
    ),
    checked(
        0x31,
        "rtk_corrections",
        *received("rtk"),
        word("rtk_epoch_status", "H", "corrections received in this epoch", labels=_RTK_STATUS),
        word("rtk_dongle_status", "I", "bits of the state of the RTK modem"),
        *(
            number(f"rtk_{name.lower()}_latency_s", TIME, f"age of the newest correction, {name}")
            for name in ("GPS", "GLONASS", "Galileo", "BeiDou")
        ),
        meaning="state of the RTK corrections",
        reserved=16,
    ),
    _kepler_ephemeris(0x61, "gps", "GPS"),
    checked(
        0x62,
        "glonass_ephemeris",
        *numbered("glonass_eph"),
        *received("glonass_eph"),
        word("glonass_slot", "B", "number of the satellite"),
        word("glonass_frequency", "b", "number of the frequency, -7 to 24"),
        word("glonass_tk_s", "I", "time of day of the frame's start", TIME),
        word("glonass_tb_s", "I", "time of day of the ephemeris", TIME),
        word("glonass_type", "B", "type of the satellite", labels=choice("GLONASS", "GLONASS-M")),
        word("glonass_gamma", "d", "relative deviation of the carrier frequency"),
        number("glonass_tau_s", TIME, "error of the satellite's clock", code="d"),
        *(number(f"glonass_{axis}_m", LENGTH, f"position in PZ-90, {axis}", code="d") for axis in "xyz"),
        *(number(f"glonass_v{axis}_mps", VELOCITY, f"velocity in PZ-90, {axis}") for axis in "xyz"),
        *(number(f"glonass_a{axis}_mps2", ACCELERATION, f"perturbing acceleration, {axis}") for axis in "xyz"),
        word("glonass_health", "B", "0 if the satellite is healthy"),
        word("glonass_p", "B", "P of the interface control document"),
        word("glonass_day", "B", "day within four years"),
        number("glonass_delta_tau_s", TIME, "delay of L2 against L1; the SDK states m/s"),
        word("glonass_accuracy", "B", "F_T of the interface control document"),
        word("glonass_age_days", "B", "age of the data, days"),
        word("glonass_p1_min", "B", "interval of successive ephemerides, min"),
        word("glonass_p2", "B", "1 if the ephemeris time is odd"),
        word("glonass_p3", "B", "number of satellites in the almanac of the frame"),
        word("glonass_p4", "B", "1 if the ephemeris is new"),
        meaning="ephemeris of GLONASS, one field for each satellite",
    ),
    _kepler_ephemeris(0x63, "galileo", "Galileo"),
    _kepler_ephemeris(0x64, "beidou", "BeiDou"),
    _klobuchar(0x71, "gps", "GPS"),
    checked(
        0x73,
        "galileo_ionosphere",
        *received("galileo_iono"),
        *numbers("galileo_iono_a", 3, NONE, "", "coefficient of the model", "d"),
        word("galileo_iono_disturbances", "B", "bits of the disturbed regions"),
        meaning="ionosphere by Galileo",
    ),
    _klobuchar(0x74, "beidou", "BeiDou", *numbers("beidou_iono_correction", 9, NONE, "", "correction of the delay")),
)
