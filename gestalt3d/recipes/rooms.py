"""What trainings on synthetic rooms share."""

from gestalt3d.data.augment import AugmentConfig

AUGMENT = AugmentConfig(
    p_tilt=0.2, p_elastic=0.2, p_crop=0.1, p_no_ceiling=0.2, p_cut_height=0.05, p_holes=0.1, p_falloff=0.1, p_dropout=0.3,
    p_no_color=0.15, p_color=0.6, hue_degrees=12.0, p_bumps=0.5, p_smooth=0.5,
)  # fmt: skip
"""So that the weights work on real scans, too."""
