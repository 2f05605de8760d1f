"""Settings of blocks as earlier versions wrote them, in one flat table whose entries often counted for one mode only."""

from typing import Any

_MOVED = {
    "block_size": ("blocks", "size"),
    "stride": ("blocks", "stride"),
    "points": ("blocks", "points"),
    "min_block_points": ("blocks", "min_points"),
    "grid": ("blocks", "grid"),
    "normals": ("blocks", "normals"),
    "max_room": ("blocks", "max_room"),
    "blocks_per_scan": ("training", "blocks_per_scan"),
    "object_blocks": ("training", "object_blocks"),
    "class_balance": ("training", "class_balance"),
    "size_filter": ("size_filter", "share"),
}
"""Where a setting is now, whatever the mode."""
_BACKBONES = {
    "pointnet": ("pointnet", {"width_scale": "width_scale"}),
    "pointnet2": (
        "pointnet2",
        {"width_scale": "width_scale", "radii": "radii", "group_size": "group_size"},
    ),
}
_BY_VOXELS = {
    "merge_voxel": "voxel_size",
    "merge_voxel_fraction": "voxel_fraction",
    "merge_overlap": "min_overlap",
    "merge_points": "min_points",
    "superpoints": "superpoints",
}
_MERGINGS = {
    "first": ("blockmerging", _BY_VOXELS),
    "votes": ("votes", {**_BY_VOXELS, "vote_iou": "min_iou"}),
    "agreement": (
        "agreement",
        {
            "superpoints": "superpoints",
            "class_power": "class_power",
            "min_agreement": "min_agreement",
            "merge_points": "min_points",
        },
    ),
}
"""What each mode is now, and which settings counted in it, by their names then and now."""


def is_flat(config: dict[str, Any]) -> bool:
    """Whether an earlier version wrote the settings."""
    return isinstance(config.get("backbone"), str)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The same settings in their places of today; those that did not count in their mode are left out."""
    made: dict[str, Any] = {"blocks": {}, "training": {}, "size_filter": {}}
    made["backbone"] = _kind(flat, flat["backbone"], _BACKBONES)
    made["merging"] = _kind(flat, flat.get("merging", "first"), _MERGINGS)
    if "merge_voxel" in flat:
        made["size_filter"]["voxel_size"] = flat["merge_voxel"]
    if "views" in flat:
        made["turns"] = flat["views"]
    for name, (part, field) in _MOVED.items():
        if name in flat:
            made[part][field] = flat[name]
    gone = {"backbone", "merging", "views", *_MOVED}
    gone |= {name for modes in (_BACKBONES, _MERGINGS) for _, fields in modes.values() for name in fields}
    return {name: value for name, value in flat.items() if name not in gone} | made


def _kind(flat: dict[str, Any], mode: Any, modes: dict[str, tuple[str, dict[str, str]]]) -> dict[str, Any]:
    kind, fields = modes.get(str(mode), (mode, {}))
    return {"kind": kind, **{now: flat[then] for then, now in fields.items() if then in flat}}
