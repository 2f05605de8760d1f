"""What a depth camera measures of a plane, an edge and a bad surface."""

from dataclasses import replace

import numpy as np
import pytest

from gestalt3d.synth.depth_noise import PLAIN, DepthNoise, measured

SHAPE = (120, 160)
FOCAL = 260.0


def of_plane(
    z: float, noise: DepthNoise, *, cosine: float = 1.0, dropout: float = 0.0, seed: int = 0
) -> np.ndarray:
    depth = np.full(SHAPE, z, np.float32)
    rng = np.random.default_rng(seed)
    return measured(depth, np.full(SHAPE, cosine), np.full(SHAPE, dropout), FOCAL, noise, rng)


def test_plain_is_what_is_there() -> None:
    depth = np.random.default_rng(0).uniform(0.1, 30, SHAPE).astype(np.float32)
    depth[3, 4] = np.inf
    found = measured(depth, np.full(SHAPE, 0.01), np.ones(SHAPE), FOCAL, PLAIN, np.random.default_rng(1))
    depth[3, 4] = 0
    np.testing.assert_array_equal(found, depth)


def test_the_error_grows_with_the_square_of_the_range() -> None:
    noise = replace(PLAIN, quadratic=0.0014)
    # 19,200 draws know their deviation to about half a per cent; three times that.
    for z in (1.0, 2.0, 5.0):
        assert of_plane(z, noise).std() == pytest.approx(0.0014 * z * z, rel=0.016)


def test_the_error_grows_at_flat_angles() -> None:
    noise = replace(PLAIN, tilted=0.001)
    spread = [float(of_plane(2.0, noise, cosine=c).std()) for c in (0.9, 0.5, 0.2)]
    assert spread[0] < spread[1] < spread[2]
    # At 45 degrees angle and its rest to 90 are equal.
    assert of_plane(1.0, noise, cosine=np.sqrt(0.5)).std() == pytest.approx(0.001, rel=0.016)


@pytest.mark.parametrize("step", [0.0014, 0.0028])
def test_depths_come_in_steps_that_grow_with_the_square_of_the_range(step: float) -> None:
    found = of_plane(3.0, replace(PLAIN, quadratic=0.005, step=step))
    depths = np.unique(found)
    apart = np.diff(depths[np.abs(depths - 3) < 0.1].astype(np.float64))
    assert len(apart) > 1
    assert apart == pytest.approx(step * 9, rel=0.1)


def test_nothing_is_measured_out_of_range_nor_at_grazing_angles() -> None:
    noise = replace(PLAIN, near=0.5, far=4.0, grazing=0.1)
    assert not of_plane(0.49, noise).any() and not of_plane(4.01, noise).any()
    assert of_plane(0.51, noise).all() and of_plane(3.99, noise).all()
    assert not of_plane(2, noise, cosine=0.04).any() and of_plane(2, noise, cosine=0.16).all()
    assert 0.3 < np.mean(of_plane(2, noise, cosine=0.1) > 0) < 0.7


def test_shares_of_pixels_are_lost() -> None:
    assert np.mean(of_plane(2, replace(PLAIN, specks=0.1)) == 0) == pytest.approx(0.1, abs=0.01)
    glass = of_plane(2, replace(PLAIN, lost=0.8), dropout=0.5)
    assert np.mean(glass == 0) == pytest.approx(0.4, abs=0.015)


def test_what_stands_in_front_throws_a_shadow_away_from_the_projector() -> None:
    """A bar at 1 m before a wall at 3 m: the disparities, focal length times baseline by depth, are 19.5 and 6.5 pixels."""
    depth = np.full(SHAPE, 3.0, np.float32)
    depth[:, 60:80] = 1.0
    found = measured(
        depth,
        np.ones(SHAPE),
        np.zeros(SHAPE),
        FOCAL,
        replace(PLAIN, baseline=0.075),
        np.random.default_rng(0),
    )
    dark = found[50] == 0
    # Of the wall at u the projector sees u - 6.5, of the bar's left edge 60 - 19.5.
    np.testing.assert_array_equal(dark.nonzero()[0], np.arange(48, 60))
    assert (found == found[50]).all()


def test_colour_and_depth_differ_by_a_shift_of_the_whole() -> None:
    depth = np.full(SHAPE, 3.0, np.float32)
    depth[40:80, 60:100] = 1.0
    noise = replace(PLAIN, registration=3.0)
    found = measured(depth, np.ones(SHAPE), np.zeros(SHAPE), FOCAL, noise, np.random.default_rng(2))
    rows, columns = (found == 1).nonzero()
    assert (rows.max() - rows.min(), columns.max() - columns.min()) == (39, 39) and len(rows) == 1600
    assert (rows.min(), columns.min()) != (40, 60)


def test_edges_are_ragged_and_surfaces_are_not() -> None:
    depth = np.full(SHAPE, 3.0, np.float32)
    depth[:, 80:] = 1.0
    noise = replace(PLAIN, lateral=1.0)
    found = measured(depth, np.ones(SHAPE), np.zeros(SHAPE), FOCAL, noise, np.random.default_rng(0))
    changed = (found != depth).nonzero()[1]
    assert len(changed) > 40 and changed.min() > 72 and changed.max() < 88


def test_the_generator_decides() -> None:
    noise = DepthNoise()
    np.testing.assert_array_equal(of_plane(2, noise, seed=3), of_plane(2, noise, seed=3))
    assert (of_plane(2, noise, seed=3) != of_plane(2, noise, seed=4)).any()
