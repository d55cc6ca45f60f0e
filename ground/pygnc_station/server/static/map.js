// Map of places: coastline, grid, scale, and a marker for each gadget; drawn as SVG, without tiles of other servers.

const SVG = "http://www.w3.org/2000/svg", LEAST_SPAN_DEG = 0.02, KM_PER_DEG = 111.2;

function shape(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function round(span, choices) {
  const power = 10 ** Math.floor(Math.log10(span));
  return choices.map(factor => factor * power).filter(size => size <= span).pop() || power;
}

// Rings of [longitude, latitude] from lines of points in hundredths of a degree.
export function parseCoastline(content) {
  return content.trim().split("\n").map(line => line.split(" ").map(point => point.split(",").map(each => each / 100)));
}

export class PlaceMap {
  constructor(node, onChosen) {
    this.node = node;
    this.onChosen = onChosen;
    this.places = [];
    this.rings = [];
    this.view = null;
    node.addEventListener("wheel", event => {
      if (!this.view) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.8 : 1.25);
    }, { passive: false });
    node.addEventListener("pointerdown", event => { this.last = [event.clientX, event.clientY]; });
    node.addEventListener("pointermove", event => {
      if (!this.last || !event.buttons) return;
      this.pan((this.last[0] - event.clientX) / node.clientWidth, (event.clientY - this.last[1]) / node.clientHeight);
      this.last = [event.clientX, event.clientY];
    });
    node.addEventListener("keydown", event => {
      const moves = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] };
      if (moves[event.key]) this.pan(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoom(0.7);
      else if (event.key === "-") this.zoom(1.4);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => this.draw()).observe(node);
  }

  // places: name, latitude, longitude, kind (class of the marker), label, title, isChosen, isDim.
  show(places) {
    this.places = places;
    if (!this.view && places.length) this.fit();
    else this.draw();
  }

  setCoastline(rings) {
    this.rings = rings;
    this.draw();
  }

  fit() {
    if (!this.places.length) return;
    const latitudes = this.places.map(place => place.latitude), longitudes = this.places.map(place => place.longitude);
    const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
    const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
    const latitude = (south + north) / 2;
    const shrink = Math.max(0.05, Math.cos(latitude * Math.PI / 180));
    const aspect = this.node.clientWidth / Math.max(1, this.node.clientHeight);
    const span = Math.max((north - south) * 1.25, (east - west) * shrink * 1.25 / aspect, LEAST_SPAN_DEG);
    this.view = { latitude, longitude: (west + east) / 2, span };
    this.draw();
  }

  zoom(factor) {
    if (!this.view) return;
    this.view.span = Math.min(180, Math.max(LEAST_SPAN_DEG / 20, this.view.span * factor));
    this.draw();
  }

  pan(right, up) {
    if (!this.view) return;
    const { scale, shrink, width, height } = this.projection();
    this.view.longitude = Math.max(-180, Math.min(180, this.view.longitude + right * width / scale / shrink));
    this.view.latitude = Math.max(-85, Math.min(85, this.view.latitude + up * height / scale));
    this.draw();
  }

  projection() {
    const width = this.node.clientWidth, height = this.node.clientHeight, { latitude, longitude, span } = this.view;
    const scale = height / span, shrink = Math.max(0.05, Math.cos(latitude * Math.PI / 180));
    const project = (lon, lat) => [width / 2 + (lon - longitude) * shrink * scale, height / 2 - (lat - latitude) * scale];
    return { width, height, scale, shrink, project };
  }

  draw() {
    if (!this.view || !this.node.clientWidth) return;
    const { width, height, scale, shrink, project } = this.projection();
    const focused = this.node.contains(document.activeElement) ? document.activeElement.dataset?.key : null;
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}` });
    svg.append(shape("path", { d: this.coast(project, width, height) }), ...this.grid(project, width, height, scale, shrink));
    svg.append(...this.rule(scale, height));
    const drawn = [...this.places].sort((one, other) => one.isChosen - other.isChosen);
    svg.append(...drawn.map(place => this.marker(place, project(place.longitude, place.latitude))));
    this.node.replaceChildren(svg);
    if (focused) [...svg.querySelectorAll("[data-key]")].find(node => node.dataset.key === focused)?.focus();
  }

  coast(project, width, height) {
    const parts = [];
    for (const ring of this.rings) {
      const points = ring.map(([lon, lat]) => project(lon, lat));
      const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
      const isSeen = Math.max(...xs) > 0 && Math.min(...xs) < width && Math.max(...ys) > 0 && Math.min(...ys) < height;
      if (isSeen) parts.push(`M${points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L")}Z`);
    }
    return parts.join("");
  }

  grid(project, width, height, scale, shrink) {
    const { latitude, longitude } = this.view, step = round(90 / scale, [1, 2, 5]), nodes = [];
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    const half = [width / scale / shrink / 2, height / scale / 2];
    for (let lon = Math.ceil((longitude - half[0]) / step) * step; lon < longitude + half[0]; lon += step) {
      const [x] = project(lon, latitude);
      nodes.push(shape("path", { d: `M${x},0V${height}`, class: "grid" }));
      if (x > 45 && x < width - 40) nodes.push(shape("text", { x: x + 3, y: height - 4 }, `${lon.toFixed(digits)}°`));
    }
    for (let lat = Math.ceil((latitude - half[1]) / step) * step; lat < latitude + half[1]; lat += step) {
      const [, y] = project(longitude, lat);
      nodes.push(shape("path", { d: `M0,${y}H${width}`, class: "grid" }));
      if (y > 42 && y < height - 18) nodes.push(shape("text", { x: 4, y: y - 3 }, `${lat.toFixed(digits)}°`));
    }
    return nodes;
  }

  rule(scale) {
    const km = round(90 * KM_PER_DEG / scale, [1, 2, 5]), length = km / KM_PER_DEG * scale;
    const label = km < 1 ? `${Math.round(km * 1000)} m` : `${km} km`;
    return [shape("path", { d: `M10,18v5h${length}v-5`, class: "rule" }), shape("text", { x: 14, y: 17 }, label)];
  }

  marker(place, [x, y]) {
    const isLarge = this.places.length <= 60, radius = isLarge ? 12 : 8;
    const state = `${place.isChosen ? " chosen" : ""}${place.isDim ? " dim" : ""}`;
    const node = shape("g", {
      class: `place ${place.kind}${state}`, transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`,
      tabindex: place.isDim ? -1 : 0, role: "button", "aria-label": place.title, "data-key": `place ${place.name}`,
    }, shape("title", {}, place.title), shape("circle", { r: radius }));
    if (isLarge) node.append(shape("text", {}, place.label));
    node.addEventListener("click", () => this.onChosen(place.name));
    node.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.onChosen(place.name); }
    });
    return node;
  }
}
