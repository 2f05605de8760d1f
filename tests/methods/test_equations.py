"""The equations of ASIS, SGPN and MTML written out a second time, from the papers, in plain PyTorch and loops.

Nothing of the package's losses or operators is used here. Margins and weights are the papers' numbers, not those of the
configuration, so that a default that drifts is found, too. Encoders and decoders are taken as they are.
"""

import itertools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gestalt3d.methods import asis, mtml, sgpn
from gestalt3d.methods.method import START, Moment
from gestalt3d.methods.rooms.backbone import PointNetConfig
from gestalt3d.methods.rooms.blockwise import Batch as Blocks
from gestalt3d.structures.vocabulary import S3DIS, TOYBOXES

SMALL: dict[str, Any] = {"backbone": PointNetConfig(width_scale=0.125), "width": 16}
"""Of block methods."""


def settled(method: Any) -> Any:
    """In eval mode, with batch norms and biases that look trained, so that leaving one out shows."""
    torch.manual_seed(1)
    for layer in method.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(statistic(layer.running_mean), 0, 0.3)
            torch.nn.init.uniform_(statistic(layer.running_var), 0.5, 2)
    with torch.no_grad():
        for value in method.parameters():
            if value.ndim == 1:
                value += 0.3 * torch.randn_like(value)
    return method.eval()


def statistic(values: Tensor | None) -> Tensor:
    assert values is not None
    return values


def blocks(points: int = 90) -> Blocks:
    """Two blocks of random points in five instances of three classes; some points belong to none."""
    torch.manual_seed(2)
    instances = torch.randint(-1, 5, (2, points))
    classes = torch.tensor([0, 0, 1, 2, 2, -1])[instances]
    return Blocks(torch.randn(2, points, 9), classes, instances)


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(expected), rtol=2e-4, atol=2e-5)


def without_gradient(prediction: Any) -> Any:
    return type(prediction)(*(values.detach() for values in prediction))


def layer(x: Tensor, linear: Tensor, norm: torch.nn.BatchNorm1d) -> Tensor:
    """Fully connected, batch norm by running statistics, ReLU."""
    mean, var = statistic(norm.running_mean), statistic(norm.running_var)
    return ((x @ linear.T - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias).clamp(min=0)


def embedding_loss(e: Tensor, ids: Tensor, norm: int) -> tuple[float, float, float]:
    """ASIS Eq. 2-4 (norm 1) and MTML Eq. 2-4 (norm 2) of one scene, delta_v = 0.5 and delta_d = 1.5 in both."""

    def length(v: Tensor) -> float:
        return float(v.abs().sum() if norm == 1 else v.square().sum().sqrt())

    members = {i: e[ids == i] for i in sorted(set(ids.tolist()) - {-1})}
    mu = {i: rows.mean(0) for i, rows in members.items()}
    count = len(mu)
    var = sum(
        sum(max(0.0, length(mu[i] - x) - 0.5) ** 2 for x in rows) / len(rows) for i, rows in members.items()
    )
    dist = sum(max(0.0, 2 * 1.5 - length(mu[a] - mu[b])) ** 2 for a, b in itertools.permutations(mu, 2))
    return var / count, dist / (count * (count - 1)), sum(length(m) for m in mu.values()) / count


# ── ASIS ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def asis_case(**changes: Any) -> tuple[asis.ASIS, Blocks]:
    """Embeddings spread so that margin and number of neighbours both cut some neighbourhoods short."""
    torch.manual_seed(0)
    method = settled(asis.ASIS.from_config(asis.ASISConfig(**SMALL, **changes), S3DIS))
    batch = blocks()
    with torch.no_grad():
        embedding = method(batch).embedding
        method.embed.weight *= 0.15 / (embedding - embedding.mean(1, keepdim=True)).std()
    return method, batch


def asis_by_hand(
    method: asis.ASIS, batch: Blocks, *, awareness: bool = True, fusion: bool = True
) -> tuple[Tensor, Tensor]:
    """Fig. 2 of the paper behind the decoders: P_SEM and E_INS; K = 30 and delta_v = 0.5 as in Sec. 4.1."""
    shared = method.encoder(batch.points)
    f_sem, f_ins = method.semantic_decoder(shared), method.instance_decoder(shared)
    f_sins = f_ins
    if awareness:
        assert method.adapt is not None
        f_sins = f_ins + layer(f_sem, method.adapt.weight, method.adapt.norm)  # Eq. 5
    e_ins = f_sins @ method.embed.weight.T + method.embed.bias
    f_isem = f_sem.clone()
    for b, i in itertools.product(range(len(f_sem)), range(f_sem.shape[1])) if fusion else ():
        distance = (e_ins[b] - e_ins[b, i]).abs().sum(1).tolist()
        nearest = sorted(range(len(distance)), key=lambda j: distance[j])[:30]
        kept = [j for j in nearest if distance[j] <= 0.5]
        f_isem[b, i] = f_sem[b, kept].max(0).values  # Eq. 6
    return f_isem @ method.classify.weight.T + method.classify.bias, e_ins


@torch.no_grad()
def test_asis_forward_is_equations_5_and_6() -> None:
    method, batch = asis_case()
    found, (logits, embedding) = method(batch), asis_by_hand(method, batch)
    near = (embedding[:, :, None] - embedding[:, None]).abs().sum(-1) <= 0.5
    assert bool((near.sum(-1) > 30).any()) and bool((near.sum(-1) < 30).any()), "the case tests too little"
    close(found.embedding, embedding)
    close(found.logits, logits)


@torch.no_grad()
def test_each_half_of_asis_can_be_left_out() -> None:
    for awareness, fusion in ((True, False), (False, True), (False, False)):
        method, batch = asis_case(semantic_awareness=awareness, instance_fusion=fusion)
        logits, embedding = asis_by_hand(method, batch, awareness=awareness, fusion=fusion)
        found = method(batch)
        close(found.embedding, embedding)
        close(found.logits, logits)


def test_asis_loss_is_the_cross_entropy_and_equations_1_to_4() -> None:
    method, batch = asis_case()
    prediction = without_gradient(method(batch))
    prediction = prediction._replace(
        embedding=prediction.embedding * 8
    )  # some inside, some outside of each margin
    found = method.losses(prediction, batch, START)
    terms = [embedding_loss(e, ids, 1) for e, ids in zip(prediction.embedding, batch.instances, strict=True)]
    var, dist, reg = np.mean(terms, axis=0)
    known = batch.classes >= 0
    each = prediction.logits.log_softmax(-1)[known].gather(1, batch.classes[known][:, None])
    assert min(var, dist, reg) > 0.01
    close(found["variance"], np.float32(var))
    close(found["distance"], np.float32(dist))
    close(found["regularisation"], np.float32(0.001 * reg))
    close(found["semantic"], -each.mean())
    close(sum(found.values()), np.float32(var + dist + 0.001 * reg) - each.mean())


def test_asis_groups_what_lies_within_the_bandwidth_of_a_common_mean() -> None:
    method, _ = asis_case()
    for gap, count in ((0.5, 1), (1.5, 2)):
        e = torch.zeros(1, 40, 5)
        e[:, 20:, 0] = gap
        labels = method.group(asis.Prediction(torch.zeros(1, 40, 13), e))
        assert len(labels.unique()) == count and len(labels[:20].unique()) == len(labels[20:].unique()) == 1


# ── SGPN ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sgpn_case(**changes: Any) -> tuple[sgpn.SGPN, Blocks]:
    torch.manual_seed(0)
    return settled(sgpn.SGPN.from_config(sgpn.SGPNConfig(**SMALL, **changes), S3DIS)), blocks(40)


@torch.no_grad()
def test_sgpn_forward_is_three_heads_on_one_decoder() -> None:
    method, batch = sgpn_case()
    shared = method.decoder(method.encoder(batch.points))

    def head(layers: Any) -> Tensor:
        hidden = (shared @ layers[0].weight.T + layers[0].bias).clamp(min=0)
        return hidden @ layers[2].weight.T + layers[2].bias

    found = method(batch)
    close(found.logits, head(method.classify))
    close(found.similarity, shared @ method.similarity.weight.T + method.similarity.bias)
    close(found.confidence, 1 / (1 + (-head(method.trust)[..., 0]).exp()))


def test_sgpn_loss_is_double_hinge_balanced_classes_and_iou_of_proposals() -> None:
    method, batch = sgpn_case()
    prediction = without_gradient(method(batch))
    f = torch.zeros_like(prediction.similarity)
    f[..., :4] = torch.rand(2, 40, 4) * 2
    prediction = prediction._replace(similarity=f)
    pairs, trust = [], []
    kinds = set()
    for b, ids in enumerate(batch.instances.tolist()):
        classes, total, weights = batch.classes[b].tolist(), 0.0, 0.0
        own = [i for i in range(len(ids)) if ids[i] >= 0]
        s = 10 * (f[b][:, None] - f[b]).square().sum(-1)
        for i, j in itertools.product(own, own):
            kind = "same" if ids[i] == ids[j] else "class" if classes[i] == classes[j] else "other"
            value = float(s[i, j])
            kinds.add((kind, value < 10, value < 80))
            # alpha is 2 + 2 * floor(12 / 5) = 6 in epoch 12
            term = {"same": value, "class": 6 * max(0, 10 - value), "other": max(0, 80 - value)}[kind]
            weight = 1 / (ids.count(ids[i]) * ids.count(ids[j]))
            total, weights = total + weight * term, weights + weight
        pairs.append(total / weights)
        for i in own:
            proposal = {j for j in range(len(ids)) if float(s[i, j]) < 10}
            truth = {j for j in own if ids[j] == ids[i]}
            iou = len(proposal & truth) / len(proposal | truth)
            trust.append((float(prediction.confidence[b, i]) - iou) ** 2)
    assert {
        ("class", True, True),
        ("class", False, True),
        ("other", False, True),
        ("other", False, False),
    } <= kinds
    known = batch.classes >= 0
    each = -prediction.logits.log_softmax(-1)[known].gather(1, batch.classes[known][:, None])[:, 0]
    of_classes = [each[batch.classes[known] == c].mean() for c in batch.classes[known].unique()]
    found = method.losses(prediction, batch, Moment(step=12, steps=200, samples=0))
    close(found["similarity"], np.float32(np.mean(pairs)))
    close(found["confidence"], np.float32(np.mean(trust)))
    close(found["semantic"], torch.stack(of_classes).mean())


def group_merging(proposals: np.ndarray, confidence: np.ndarray, config: sgpn.SGPNConfig) -> list[int]:
    """Sec. 4.3 with sets; leftover points join the group that is most frequent in what they propose."""
    sets = [set(np.flatnonzero(row).tolist()) for row in proposals]
    groups: list[set[int]] = []
    for i in sorted(range(len(sets)), key=lambda i: -confidence[i]):
        if confidence[i] <= 0.4 or len(sets[i]) <= 5:
            continue
        for k, group in enumerate(groups):
            common = len(group & sets[i])
            if common / len(group | sets[i]) > 0.6 or common / min(len(group), len(sets[i])) > 0.8:
                groups[k] = max(group, sets[i], key=len)
                break
        else:
            groups.append(sets[i])
    groups = [group for group in groups if len(group) > config.min_group]
    of = [next((k for k, group in enumerate(groups) if i in group), -1) for i in range(len(sets))]
    votes = [[of[j] for j in sets[i] if of[j] >= 0] for i in range(len(sets))]
    return [
        k if k >= 0 or not v else min(v, key=lambda x: (-v.count(x), x))
        for k, v in zip(of, votes, strict=True)
    ]


def test_sgpn_merges_groups_as_written_down_with_sets() -> None:
    rng, config = np.random.default_rng(0), sgpn.SGPNConfig(min_group=8)
    merged = 0
    for _ in range(40):
        owner = rng.integers(0, 4, 60)
        proposals = (owner[:, None] == owner) ^ (rng.random((60, 60)) < rng.choice([0.02, 0.1, 0.2]))
        proposals &= rng.random((60, 1)) > rng.random((1, 60)) * rng.choice([0.0, 0.6])
        np.fill_diagonal(proposals, True)
        confidence = rng.permutation(60) / 60
        found = sgpn.merge_groups(proposals, confidence, config).tolist()
        assert found == group_merging(proposals, confidence, config)
        merged += len(set(found))
    assert merged > 80, "the cases test too little"


def test_sgpn_proposes_the_points_with_s_below_k1() -> None:
    """10 times the squared distance: at 0.9 of a common feature are proposed, at 1.1 are not."""
    method, _ = sgpn_case(min_group=8)
    for gap, expected in ((0.9, [0] * 20), (1.1, [0] * 10 + [1] * 10)):
        f = torch.zeros(1, 20, 128)
        f[:, 10:, 3] = gap
        prediction = sgpn.Prediction(torch.zeros(1, 20, 13), f, torch.ones(1, 20))
        assert method.group(prediction).tolist() == expected


# ── MTML ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def scenes(count: int = 2) -> mtml.Batch:
    """Some voxels of two boxes in four instances, classes one-hot; some voxels belong to none."""
    torch.manual_seed(3)
    parts = []
    for scene in range(count):
        at = torch.rand(20, 4, 2 + 2 * scene).ge(0.4).nonzero()
        features = F.one_hot(torch.randint(0, 5, (len(at),)), 5).float()
        parts.append((at, features, torch.randint(-1, 4, (len(at),)), torch.tensor([len(at)])))
    return mtml.Batch(*(torch.cat(values) for values in zip(*parts, strict=True)))


def mtml_case(**changes: Any) -> tuple[mtml.MTML, mtml.Batch]:
    torch.manual_seed(0)
    return settled(mtml.MTML.from_config(mtml.MTMLConfig(width=4, **changes), TOYBOXES)), scenes()


def conv(x: Tensor, part: Any, *, dilation: int = 1) -> Tensor:
    side = {1: 1, 27: 3, 343: 7}[len(part.weight)]
    cube = part.weight.view(side, side, side, *part.weight.shape[1:]).permute(4, 3, 0, 1, 2)
    return F.conv3d(x, cube, part.after.bias, padding=dilation * (side // 2), dilation=dilation)


def network_of_figure_2(method: mtml.MTML, x: Tensor) -> tuple[Tensor, Tensor]:
    """The modified SSCNet on a grid: vectors and features of all voxels. Dilations of 7: 14.2 m of 10 cm."""
    t = method.trunk
    x = conv(x, t.stem).relu()
    x = F.max_pool3d(conv(conv(x, t.one[0]).relu(), t.one[1]) + conv(x, t.shortcut_one), 2)
    c2 = (conv(conv(x, t.two[0]).relu(), t.two[1]) + conv(x, t.shortcut_two)).relu()
    c3 = (conv(conv(c2, t.three[0]).relu(), t.three[1]) + c2).relu()
    d1 = conv(conv(c3, t.dilated_one[0], dilation=7).relu(), t.dilated_one[1], dilation=7).relu()
    d2 = (conv(conv(d1, t.dilated_two[0], dilation=7).relu(), t.dilated_two[1], dilation=7) + d1).relu()
    up = t.up.weight.view(4, 4, 4, *t.up.weight.shape[1:]).permute(3, 4, 0, 1, 2)
    x = F.conv_transpose3d(torch.cat([d2, d1, c3, c2], 1), up, t.up.after.bias, stride=2, padding=1)
    for hidden in t.hidden:
        x = conv(x, hidden).relu()
    assert method.point is not None
    return conv(x, method.point), conv(x, method.embed)


@torch.no_grad()
def test_mtml_forward_is_the_network_of_figure_2() -> None:
    method, batch = mtml_case(space="dense")
    found = method(batch)
    first = 0
    for size in batch.sizes.tolist():
        rows = slice(first, first + size)
        first += size
        at = batch.coordinates[rows]
        grid = torch.zeros(1, 5, 20, 4, 4)
        grid[0, :, *at.T] = batch.features[rows].T
        direction, embedding = (values[0, :, *at.T].T for values in network_of_figure_2(method, grid))
        close(found.direction[rows], direction)
        close(found.embedding[rows], embedding)


def direction_loss(v: Tensor, at: Tensor, ids: Tensor) -> float:
    """Eq. 5: minus the mean cosine with the way from a voxel to the centre of its instance."""
    costs = []
    for i in sorted(set(ids.tolist()) - {-1}):
        here = at[ids == i].double()
        way = here.mean(0) - here
        cosines = [
            float(v_i.double() @ w_i / (v_i.double().norm() * w_i.norm()))
            for v_i, w_i in zip(v[ids == i], way, strict=True)
            if float(w_i.norm()) > 0
        ]
        costs.append(-sum(cosines) / len(cosines))
    return sum(costs) / len(costs)


def test_mtml_loss_is_equations_1_to_6() -> None:
    method, batch = mtml_case()
    prediction = without_gradient(method(batch))
    apart = torch.tensor([0.0, 0.4, 0.8, 1.2, 0.0])[batch.instances][:, None]
    embedding = apart + 0.3 * torch.randn(len(batch.instances), 4)
    prediction = prediction._replace(embedding=embedding)
    found = method.losses(prediction, batch, START)
    parts = [
        values.split(batch.sizes.tolist()) for values in (*prediction, batch.coordinates, batch.instances)
    ]
    terms = [embedding_loss(e, ids, 2) for _, e, _, ids in zip(*parts, strict=True)]
    var, dist, reg = np.mean(terms, axis=0)
    direction = np.mean([direction_loss(v, at, ids) for v, _, at, ids in zip(*parts, strict=True)])
    assert min(var, dist, reg, abs(direction)) > 0.01
    # Eq. 1: gamma 1, 1, 0.001. Eq. 6 with the authors' code's alpha_FE = 0.5 and alpha_dir = 1.
    close(found["variance"], np.float32(0.5 * var))
    close(found["distance"], np.float32(0.5 * dist))
    close(found["regularisation"], np.float32(0.5 * 0.001 * reg))
    close(found["direction"], np.float32(direction))
    close(sum(found.values()), np.float32(0.5 * (var + dist + 0.001 * reg) + direction))
