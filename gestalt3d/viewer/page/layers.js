// What stands in the room can be hidden layer by layer, where there is more than one.
function buildLayers(unpacked) {
  const spatial = layers.filter((layer) => layer.kind !== "image");
  $("layer-section").hidden = spatial.length < 2;
  $("layers").replaceChildren(...spatial.map((layer) => {
    const li = element("li"), button = element("button", "row");
    const of = new Set(unpacked[layers.indexOf(layer)].labels);
    of.delete(0);
    const held = cameras.includes(layer) ? (layer.eye ? "its photo" : "behind them") : scans.includes(layer) ? `${number.format(layer.rows)} points` : `of ${number.format(of.size)} object${of.size === 1 ? "" : "s"}`;
    button.append(element("span", "swatch"), element("span", "name", layer.name), element("span", "count", held));
    button.setAttribute("aria-pressed", "true");
    button.title = `Hide or show: ${layer.name}`;
    button.addEventListener("click", () => toggleLayer(layer, button));
    li.append(button);
    return li;
  }));
}
function toggleLayer(layer, button) {
  const shown = state.hiddenLayers.delete(layer);
  if (!shown) state.hiddenLayers.add(layer);
  button.setAttribute("aria-pressed", String(shown));
  ask();
}
