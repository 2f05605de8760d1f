"""Measure a method on labelled scans; here what people use without learning, RANSAC planes and DBSCAN."""

import gestalt3d as g3

for name in ("geometric", "geometric-regions"):
    model = g3.load(name)
    # "rooms:val" is made on the spot; "folder" and "s3dis:area5" lie below root=….
    scans = g3.open_data("rooms:val", vocabulary=model.vocabulary, limit=2)
    # The method gets the cloud alone. Percent; None where a class does not occur.
    figures = g3.evaluate(model, scans, data="rooms:val")["pooled"]
    print(name, *(f"{key} {figures[key]:.1f}" for key in ("mCov", "mPrec", "mRec", "AP50", "AP25")))
