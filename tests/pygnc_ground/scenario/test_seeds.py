from pygnc_ground.scenario.seeds import noise_generator, partner_seed


def test_a_stream_depends_on_seed_and_name() -> None:
    def draw(seed: int, sensor: str) -> float:
        return float(noise_generator(seed, sensor).standard_normal())

    assert draw(1, "gyro") == draw(1, "gyro")
    assert len({draw(1, "gyro"), draw(2, "gyro"), draw(1, "magnetometer")}) == 3


def test_each_partner_has_a_seed_of_its_own() -> None:
    assert partner_seed(1, 75) == partner_seed(1, 75)
    assert len({1, 2, partner_seed(1, 75), partner_seed(2, 75), partner_seed(1, 76)}) == 5
