"""Files and masks as COCO has them: runs, their strings, outlines, annotations (NumPy only)."""
