"""A scan goes in, object instances come out, and what one does with them."""

import gestalt3d as g3

# Any .ply .pcd .las .laz .xyz .npy .obj .glb … of yours; here a synthetic scan, so that there is one.
g3.save_cloud("office.ply", g3.make_room(2_000_042).input)

scan = g3.load_cloud("office.ply")
found = g3.load("asis-rooms").segment(scan)
print(f"{len(scan):,} points, {len(found)} instances")

# Instances are chosen with masks and indices, like rows of an array.
sure = found[found.scores > 0.5]
assert sure.boxes is not None  # `segment` always gives them
for i in range(min(len(sure), 5)):
    center, size = sure.boxes[i, :3], sure.boxes[i, 3:6]
    print(
        f"{sure.class_name(i):10} score {sure.scores[i]:.2f}, {int(sure.sizes[i]):5,} points, "
        f"at ({center[0]:.1f}, {center[1]:.1f}, {center[2]:.1f}) m, {size.max():.1f} m long"
    )

# One number per point: the row of its instance, -1 for none.
labels = found.to_labels()
print(f"{int((labels >= 0).sum()):,} points belong to an instance")

# The input with its properties, plus `instance`, `semantic` and `score`; and a web page that shows it in 3-D.
g3.save_instances("office.instances.ply", sure, scan)
g3.save_page("office.html", scan, sure, title="office")
