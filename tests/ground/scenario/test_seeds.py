from pygnc_ground.scenario.seeds import noise_generator


def test_a_stream_depends_on_seed_and_name() -> None:
    def draw(seed: int, sensor: str) -> float:
        return float(noise_generator(seed, sensor).standard_normal())

    assert draw(1, "gyro") == draw(1, "gyro")
    assert len({draw(1, "gyro"), draw(2, "gyro"), draw(1, "magnetometer")}) == 3
