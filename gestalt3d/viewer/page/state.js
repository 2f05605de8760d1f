const $ = (id) => document.getElementById(id);
const about = JSON.parse($("about").textContent);
// The page of one scene. `about` holds names, tables and boxes, and what the bytes of each layer mean.
const { classes, instances, layers, room } = about;
const photo = layers.find((layer) => layer.kind === "image") || null;
const scans = layers.filter((layer) => layer.kind === "points" && layer.opacity === 1);
const ghosts = layers.filter((layer) => layer.kind === "triangles" || (layer.kind === "points" && layer.opacity < 1));
const cameras = layers.filter((layer) => layer.kind === "camera");
const count = scans.reduce((sum, layer) => sum + layer.rows, 0);
const total = instances.class.length;
const unknown = classes.length; // The last row of class tables: points without a class.
const canvas = $("canvas");
const TAN_Y = about.tanHalfFov;
const NONE = -1;

const state = {
  mode: total ? "instance" : "rgb",
  selected: NONE,
  hovered: NONE,
  flat: Boolean(photo) && !(room && ghosts.length), // Whole objects are seen in space.
  alone: false,
  boxes: false,
  amodal: false,
  fade: 0.6, // How much is seen of hidden parts in the photo.
  cutaway: true,
  size: 0,
  cut: Infinity,
  leastScore: 0,
  measuring: false,
  hiddenClasses: new Set(),
  hiddenLayers: new Set(),
  dark: true,
};
