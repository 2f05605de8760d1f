"""Tiles answer as the whole scene does, in either space; every voxel is in one, and strays do not hinder cutting."""

import pytest
import torch
from torch import Tensor

from gestalt3d.methods import unet
from gestalt3d.methods.mtml import MTML, Batch, MTMLConfig
from gestalt3d.methods.unet import UNet, UNetConfig
from gestalt3d.nn.tiles import by_tiles, tiles
from gestalt3d.stages import measure, stage
from gestalt3d.structures.vocabulary import TOYBOXES

CONFIG = MTMLConfig(width=4, first_kernel=3, dilations=(1, 1), norm=True)
"""Sees 21 voxels far."""


def corridors(density: float = 0.4) -> Tensor:
    """Occupied voxels of two corridors that cross, from negative coordinates on."""
    random = torch.Generator().manual_seed(0)
    grid = torch.zeros(150, 130, 4)
    grid[:, 60:66] = grid[70:75] = 1
    return (grid * torch.rand(grid.shape, generator=random) > 1 - density).nonzero() - torch.tensor(
        [77, 31, 1]
    )


def method(kind: str) -> MTML | UNet:
    """In eval, with statistics of batch norm that are not those of a first day."""
    torch.manual_seed(0)
    if kind == "unet":
        made = UNet.from_config(UNetConfig(width=4, levels=3, normals=0), TOYBOXES)
    else:
        made = MTML.from_config(
            CONFIG if kind == "sparse" else MTMLConfig(**{**vars(CONFIG), "space": kind}), TOYBOXES
        )
    for part in made.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
            part.bias.data.normal_(0, 0.3)
    return made.eval()


def inputs(at: Tensor) -> Tensor:
    return torch.eye(5)[torch.randint(0, 5, (len(at),), generator=torch.Generator().manual_seed(1))]


@pytest.fixture(params=["sparse", "dense", "unet"])
def network(request: pytest.FixtureRequest):
    made, dense = method(request.param), request.param == "dense"
    batch = unet.Batch if request.param == "unet" else Batch

    @torch.inference_mode()
    def run(at: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        if request.param == "unet":
            values = torch.nn.functional.pad(values, (0, unet.FEATURES - values.shape[1]))
        return tuple(made(batch(at, values, torch.zeros_like(at[:, 0]), torch.tensor([len(at)]))))

    return run, made.trunk.reach, dense


def test_tiles_answer_as_the_whole_scene(network) -> None:
    run, reach, dense = network
    at = corridors()
    values = inputs(at)
    whole = run(at, values)
    most = 16_000 if dense else len(at) // 3
    assert len(tiles(at, halo=reach, most=most, dense=dense)) >= 4
    for answer, expected in zip(
        by_tiles(run, at, values, halo=reach, most=most, dense=dense), whole, strict=True
    ):
        torch.testing.assert_close(answer, expected, atol=1e-4, rtol=0)
    # What a halo lacks is missed.
    short = by_tiles(run, at, values, halo=reach // 2, most=most, dense=dense)
    assert any(not torch.allclose(a, b, atol=1e-4, rtol=0) for a, b in zip(short, whole, strict=True))


def test_reach_is_half_the_receptive_field() -> None:
    """Of voxels in a row the last but `reach` is the first to notice a change of the last."""
    made = method("dense")
    at = torch.stack([torch.arange(120), torch.zeros(120), torch.zeros(120)], dim=1).long()
    values = inputs(at)

    def run(values: Tensor) -> Tensor:
        return made(Batch(at, values, at[:, 0], torch.tensor([len(at)]))).embedding

    for last in (118, 119):
        other = values.clone()
        other[last] = 7.0
        changed = (run(values) != run(other)).any(1).nonzero()[:, 0]
        assert last - int(changed[0]) in (made.trunk.reach, made.trunk.reach - 1)
    assert MTML.from_config(MTMLConfig(), TOYBOXES).trunk.reach == 71  # 142 voxels of 10 cm: 14.2 m, Sec. 3.1


@pytest.mark.parametrize("dense", [False, True])
def test_every_voxel_is_in_one_tile_that_sees_its_surroundings(dense: bool) -> None:
    at = corridors()
    strays = torch.tensor([[100_000, 0, 0], [-100_000, 0, 0], [0, 0, 90_000]])
    for scene in (at, torch.cat([at, strays])):
        cut = tiles(scene, halo=10, most=8000 if dense else 600, dense=dense)
        assert torch.equal(torch.cat([tile.own for tile in cut]).sort().values, torch.arange(len(scene)))
        for tile in cut:
            low, high = scene[tile.own].amin(0), scene[tile.own].amax(0)
            assert tile.size <= (8000 if dense else 600) or int((high - low).max()) < 30
            around = ((scene >= low - 10) & (scene <= high + 10)).all(1)
            assert torch.equal(tile.seen, around.nonzero()[:, 0])


def test_a_scene_no_wider_than_the_halo_stays_whole() -> None:
    at = torch.ones(30, 30, 5).nonzero()
    assert len(tiles(at, halo=40, most=10)) == 1
    assert len(tiles(at, halo=2, most=1000)) > 4
    assert tiles(at[:0], halo=2, most=10) == []


def test_without_a_halo_tiles_are_parts() -> None:
    g = torch.Generator().manual_seed(0)
    places = torch.unique(torch.randint(-40, 40, (3000, 3), generator=g) * torch.tensor([4, 1, 0]), dim=0)
    parts = tiles(places, halo=0, most=100)
    assert all(torch.equal(part.own, part.seen) and len(part.own) <= 100 for part in parts)
    assert torch.equal(torch.cat([part.own for part in parts]).sort().values, torch.arange(len(places)))
    corner = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1]])  # most have the highest x
    assert len(tiles(corner, halo=0, most=1)) == 4


def test_progress_counts_tiles_and_a_small_scene_is_the_network_alone() -> None:
    at, calls, said = corridors(), [], []

    def run(at: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        calls.append(len(at))
        return (values,)

    values = torch.arange(len(at))[:, None].float()
    with measure(lambda *step: said.append(step)), stage("network"):
        (found,) = by_tiles(run, at, values, halo=5, most=len(at) // 3)
    assert torch.equal(found, values)
    assert said == [("network", 0, 0), *(("network", n, len(calls)) for n in range(len(calls) + 1))]
    calls.clear()
    by_tiles(run, at, values, halo=5, most=len(at))
    assert calls == [len(at)]
