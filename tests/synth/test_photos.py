"""Photos of several objects: masks, the order in which they hide one another, and what varies."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.vocabulary import SHAPENET13
from gestalt3d.synth.cameras import render
from gestalt3d.synth.objects.photos import PhotoConfig, make_photo
from gestalt3d.synth.views import SyntheticView

SEEDS = range(12)


@lru_cache
def photo(seed: int) -> SyntheticView:
    return make_photo(seed)


def masks(seen: SyntheticView) -> tuple[torch.Tensor, torch.Tensor]:
    """(i, h, w) visible and amodal."""
    assert seen.truth.whole is not None
    shape = seen.true_depth.shape
    return tuple(  # pyright: ignore[reportReturnType]
        torch.stack([sets.dense(i).reshape(shape) for i in range(len(sets))])
        for sets in (seen.truth.masks, seen.truth.whole)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_visible_masks_are_disjoint_parts_of_the_whole_ones(seed: int) -> None:
    seen = photo(seed)
    visible, whole = masks(seen)
    assert len(seen.truth) > 0 and bool((visible <= whole).all()) and int(visible.sum(0).max()) == 1
    assert bool((visible.flatten(1).sum(1) >= 64).all())
    assert seen.truth.vocabulary == SHAPENET13 and bool((seen.truth.classes >= 0).all())
    assert seen.input.depth is None and seen.input.image.shape == (3, 240, 320)
    classes = seen.truth.element_classes
    assert classes is not None
    labels = seen.truth.to_labels()
    assert torch.equal(classes[labels >= 0], seen.truth.classes[labels[labels >= 0]])


@pytest.mark.parametrize("seed", SEEDS)
def test_shapes_project_to_the_whole_masks(seed: int) -> None:
    seen = photo(seed)
    _, whole = masks(seen)
    assert seen.truth.shapes is not None and seen.input.camera is not None
    for i, mesh in enumerate(seen.truth.shapes):
        assert isinstance(mesh, Mesh)
        again = render(mesh.vertices.double().numpy(), mesh.faces.numpy(), seen.input.camera).depth
        # Meshes are rounded to 32 bits: a pixel at an edge may go either way.
        assert (torch.from_numpy(np.isfinite(again)) != whole[i]).float().mean() < 0.002


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_hidden_has_something_in_front(seed: int) -> None:
    """Pixels of a whole mask that are not visible are another instance's, or of one too small to be any, or of the ground."""
    seen = photo(seed)
    visible, whole = masks(seen)
    for i in range(len(seen.truth)):
        front = [j for j in range(len(seen.truth)) if int(seen.nearer[j, i]) > 0]
        hidden = whole[i] & ~visible[i]
        others = visible[[j for j in range(len(seen.truth)) if j != i]].any(0)
        by_instances = hidden & others
        if front:
            assert bool((by_instances <= whole[front].any(0)).all())
        else:
            assert not bool(by_instances.any())


def test_many_objects_are_partly_hidden_and_all_settings_occur() -> None:
    seen = [photo(seed) for seed in SEEDS]
    shares = torch.cat([1 - one.truth.sizes / one.truth.whole.sizes for one in seen])  # pyright: ignore[reportOptionalMemberAccess]
    assert 0.25 < float((shares > 0.1).float().mean()) < 0.75
    assert {one.camera_name for one in seen} == {"ground", "table", "floating"}
    assert sum(len(one.truth) for one in seen) / len(seen) > 3
    assert any(bool(one.occludes.any()) for one in seen)


def test_light_and_colours_vary() -> None:
    means = torch.stack([photo(seed).input.image.mean((1, 2)) for seed in SEEDS])
    assert float(means.std(0).min()) > 0.05


def test_photos_are_the_same_whenever_they_are_made() -> None:
    again = make_photo(4)
    assert again.input == photo(4).input and again.truth == photo(4).truth
    assert make_photo(5).input != again.input


def test_settings_are_kept_and_checked() -> None:
    seen = make_photo(3, PhotoConfig(width=96, height=64, objects=(1, 1), min_pixels=1))
    assert seen.input.image.shape == (3, 64, 96) and len(seen.truth) <= 1
    with pytest.raises(UserError, match="objects 5 2"):
        PhotoConfig(objects=(5, 2))
    with pytest.raises(UserError, match="objects 0 2"):
        PhotoConfig(objects=(0, 2))
