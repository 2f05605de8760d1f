"""What methods share that find whole objects in one RGB-D frame: Deep Sliding Shapes and A3IS-CNN."""
