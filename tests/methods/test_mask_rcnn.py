"""Mask R-CNN with boxes of whole objects, and heads that tell what is hidden."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.methods.mask_rcnn import Batch, MaskRCNN, MaskRCNNConfig, _hiding
from gestalt3d.methods.method import START
from gestalt3d.methods.photos.mask_heads import BCNetHead, NonLocal, OrcnnHead, edges
from gestalt3d.methods.photos.shape_dictionary import ShapeDictHead
from gestalt3d.structures.pixels import pixel_boxes
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary
from gestalt3d.testing import Case, Overfit, tiny_view

SMALL = MaskRCNNConfig(
    levels="mobilenetv2", start="imagenet", width=16, shorter=60, longer=80, anchors=(12, 20, 32, 48, 64), proposals=40,
    rois=32, box_hidden=32, bins=7, mask_width=16, mask_layers=2, min_score=0.0, most=20,
)  # fmt: skip
LABELS: dict[str, int | None] = dict.fromkeys(("boxes", "visible", "whole"))


def _finds_several(_method: Any, _batch: Any) -> None:
    """Already the untrained network answers with every class of every proposal."""


CASES = (
    Case(
        config=SMALL,
        labels=LABELS,
        spread=_finds_several,
        draws=False,
        overfit=Overfit(
            steps=150, rate=2e-3, config=replace(SMALL, min_score=0.3), loss=0.5, classes=None, instances=0.7
        ),
    ),
    *(
        Case(
            config=replace(SMALL, **changes),
            name=name,
            labels=LABELS,
            spread=_finds_several,
            draws=False,
            overfit=None,
            says_whole=name != "visible",
        )
        for name, changes in {
            "visible": {"masks": "visible"},
            "orcnn": {"head": "orcnn"},
            "bcnet": {"head": "bcnet", "mask_layers": 4},
            "shapedict": {"head": "shapedict", "centres": 6, "priors": 3},
        }.items()
    ),
)


def _batch(method: MaskRCNN, **options: int) -> Batch:
    return method.prepare(tiny_view(**options), np.random.default_rng(0))


def test_the_full_size_has_the_usual_number_of_parameters() -> None:
    """44.4 million with 91 classes in torchvision, of which 13 and nothing take a little off."""
    names = tuple(f"class {i}" for i in range(13))
    method = MaskRCNN(MaskRCNNConfig(), Vocabulary("thirteen", names, tuple(range(13)), frozenset()))
    assert sum(p.numel() for p in method.parameters()) / 1e6 == pytest.approx(44.0, abs=0.3)


def test_boxes_are_those_of_whole_objects_in_the_size_of_the_network() -> None:
    scan = tiny_view(size=(160, 120))
    batch = MaskRCNN(SMALL, S3DIS).prepare(scan, np.random.default_rng(0))
    assert batch.image.shape == (1, 3, 60, 80)
    assert scan.truth.whole is not None
    assert torch.allclose(batch.boxes, pixel_boxes(scan.truth.whole, width=160) / 2)
    assert bool((batch.visible <= batch.whole).all())


def test_photos_of_other_sizes_go_into_one_batch() -> None:
    method = MaskRCNN(SMALL, S3DIS)
    tall = method.prepare(tiny_view(size=(60, 80)), np.random.default_rng(0))
    both = Batch.cat([_batch(method), tall])
    assert both.image.shape == (2, 3, 80, 80)
    assert both.size.tolist() == [[60, 80], [80, 60]]
    assert both.photo.tolist() == [0, 0, 0, 1, 1, 1]
    terms = method.losses(method(both), both, START)
    assert all(bool(term.isfinite()) for term in terms.values())


def test_orcnns_invisible_logits_are_what_the_amodal_ones_have_beyond_positive_visible_ones() -> None:
    torch.manual_seed(0)
    said = OrcnnHead(4, 8, 2, 3)(torch.randn(2, 4, 5, 5), torch.zeros(2, dtype=torch.int64))
    assert torch.equal(said["invisible"], said["amodal"] - said["visible"].clamp(min=0))


def test_bcnets_occludee_sees_its_occluder() -> None:
    torch.manual_seed(0)
    head, x = BCNetHead(4, 8, 4, 3), torch.randn(2, 4, 5, 5)
    kind = torch.zeros(2, dtype=torch.int64)
    before = head(x, kind)["amodal"]
    with torch.no_grad():
        for parameter in head.occluder.convs.parameters():
            parameter.mul_(2)
    assert not torch.equal(head(x, kind)["amodal"], before)


def test_a_non_local_layer_is_attention_over_all_places() -> None:
    torch.manual_seed(0)
    layer, x = NonLocal(4).eval(), torch.randn(1, 4, 3, 2)
    flat = x.flatten(2)[0].T
    q, k, v = (flat @ m.weight[:, :, 0, 0].T + m.bias for m in (layer.query, layer.key, layer.value))
    seen = (q @ k.T / 2).softmax(1) @ v
    expected = x + layer.out(seen.T.reshape(1, 4, 3, 2))
    assert torch.allclose(layer(x), expected, atol=1e-5)


def test_a_stored_shape_is_found_again_by_its_code() -> None:
    """And is the nearest of its class, whatever other classes hold."""
    torch.manual_seed(0)
    head = ShapeDictHead(4, 8, 2, 2, side=14, priors=2, centres=5)
    shapes = (torch.rand(5, 14, 14) > 0.5).float()
    head.dictionary[1] = shapes
    head.known[1] = True
    found = head._nearest(shapes[[3, 0]], torch.tensor([1, 1]))
    assert torch.equal(found[:, 0], shapes[[3, 0]])
    assert not bool(head._nearest(shapes[[3]], torch.tensor([0])).any())  # that class has none


def test_a_dictionary_keeps_all_masks_where_they_are_few_and_centres_where_they_are_many() -> None:
    head = ShapeDictHead(4, 8, 2, 2, side=6, priors=2, centres=4)
    rng = np.random.default_rng(0)
    few = [(0, (rng.random((6, 6)) > 0.5).astype(np.float32))]
    many = [(1, np.full((6, 6), i % 2, np.float32)) for i in range(20)]
    head.learn_dictionary([*few, *many])
    assert head.known.sum(1).tolist()[0] == 2
    assert torch.equal(head.dictionary[0, 0], torch.from_numpy(few[0][1]))
    assert torch.equal(head.dictionary[0, 1], torch.from_numpy(few[0][1][:, ::-1].copy()))
    own = head.dictionary[1][head.known[1]]
    assert set(own.unique().tolist()) == {0.0, 1.0}


def test_the_dictionary_is_made_of_the_training_photos() -> None:
    method = MaskRCNN(replace(SMALL, head="shapedict", centres=6, priors=3), S3DIS)
    method.fit([tiny_view(seed) for seed in range(2)])
    head = method.mask_head
    assert isinstance(head, ShapeDictHead)
    there = head.known.any(1).nonzero()[:, 0].tolist()
    assert there == sorted([S3DIS.id("table"), S3DIS.id("chair")])


def test_edges_are_pixels_with_a_neighbour_outside() -> None:
    mask = torch.zeros(1, 6, 6)
    mask[0, 1:5, 1:5] = 1
    inner = torch.zeros(1, 6, 6)
    inner[0, 2:4, 2:4] = 1
    assert torch.equal(edges(mask), mask - inner)


def test_an_occluder_is_what_others_show_where_the_object_would_be() -> None:
    method = MaskRCNN(SMALL, S3DIS)
    batch = _batch(method)
    hiding = _hiding(batch)
    for i in range(3):
        others = [j for j in range(3) if j != i]
        assert torch.equal(hiding[i], batch.visible[others].any(0) & batch.whole[i])


def test_data_without_whole_masks_are_refused_in_one_line() -> None:
    scan = tiny_view()
    with pytest.raises(UserError, match="says nothing of whole objects"):
        MaskRCNN(SMALL, S3DIS).prepare(
            replace(scan, truth=replace(scan.truth, whole=None)), np.random.default_rng(0)
        )


def test_anchors_that_do_not_fit_the_levels_are_refused() -> None:
    with pytest.raises(UserError, match="must be 5 sizes"):
        MaskRCNN(replace(SMALL, anchors=(12, 20)), S3DIS)
