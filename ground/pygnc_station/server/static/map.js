// Map of places: coastline or tiles of a server that the operator names, grid, scale, markers and clusters; drawn as SVG.

const SVG = "http://www.w3.org/2000/svg", LEAST_SPAN_DEG = 0.02, KM_PER_DEG = 111.2, TILE_PX = 256, MOST_ZOOM = 19, CLUSTER_PX = 26, LEAST_CLUSTER = 3;

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

// Mercator's coordinate of a latitude in degrees, from -180 to 180, and its inverse.
function mercator(latitude) {
  const radians = Math.max(-85.05, Math.min(85.05, latitude)) * Math.PI / 180;
  return Math.log(Math.tan(Math.PI / 4 + radians / 2)) * 180 / Math.PI;
}

function latitudeOf(y) { return (2 * Math.atan(Math.exp(y * Math.PI / 180)) - Math.PI / 2) * 180 / Math.PI; }

// Rings of [longitude, latitude] from lines of points in hundredths of a degree.
export function parseCoastline(content) {
  return content.trim().split("\n").map(line => line.split(" ").map(point => point.split(",").map(each => each / 100)));
}

// Move markers that would hide each other a few pixels apart.
function moveApart(markers, leastPx) {
  for (const [rank, one] of markers.entries()) {
    for (const other of markers.slice(0, rank)) {
      const dx = one.x - other.x, dy = one.y - other.y, distance = Math.hypot(dx, dy);
      if (distance >= leastPx) continue;
      one.x = other.x + leastPx * (distance ? dx / distance : 1);
      one.y = other.y + leastPx * (distance ? dy / distance : 0);
    }
  }
}

export class PlaceMap {
  // onChosen is called with the names of the gadgets of a marker.
  constructor(node, onChosen) {
    Object.assign(this, { node, onChosen, places: [], rings: [], view: null, tiles: { address: "", source: "" } });
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

  // places: name, latitude, longitude, kind (class of the marker), rank (of the worst in a cluster), label, title,
  // isChosen, isDim.
  show(places) {
    this.places = places;
    if (!this.view && places.length) this.fit();
    else this.draw();
  }

  setCoastline(rings) {
    this.rings = rings;
    this.draw();
  }

  fit(places = this.places) {
    const width = this.node.clientWidth, height = this.node.clientHeight;
    if (!places.length || !width) return;
    const ys = places.map(({ latitude }) => mercator(latitude)), xs = places.map(({ longitude }) => longitude);
    const [south, north, west, east] = [Math.min(...ys), Math.max(...ys), Math.min(...xs), Math.max(...xs)];
    const scale = Math.min(width / 1.25 / Math.max(1e-9, east - west), height / 1.25 / Math.max(1e-9, north - south));
    const y = (south + north) / 2;
    this.view = { x: (west + east) / 2, y, scale: Math.min(scale, height / LEAST_SPAN_DEG * Math.cos(latitudeOf(y) * Math.PI / 180)) };
    this.draw();
  }

  zoom(factor) {
    if (!this.view) return;
    const height = this.node.clientHeight;
    this.view.scale = Math.min(20 * height / LEAST_SPAN_DEG, Math.max(height / 360, this.view.scale / factor));
    this.draw();
  }

  pan(right, up) {
    if (!this.view) return;
    const { x, y, scale } = this.view;
    this.view.x = Math.max(-180, Math.min(180, x + right * this.node.clientWidth / scale));
    this.view.y = Math.max(-180, Math.min(180, y + up * this.node.clientHeight / scale));
    this.draw();
  }

  draw() {
    const width = this.node.clientWidth, height = this.node.clientHeight;
    if (!this.view || !width) return;
    const { x, y, scale } = this.view;
    const project = (longitude, latitude) => [width / 2 + (longitude - x) * scale, height / 2 - (mercator(latitude) - y) * scale];
    const focused = this.node.contains(document.activeElement) ? document.activeElement.dataset?.key : null;
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}` });
    if (this.tiles.address) svg.append(...this.streets(width, height));
    else svg.append(shape("path", { d: this.coast(project, width, height) }), ...this.grid(project, width, height));
    svg.append(...this.rule());
    if (this.tiles.source) svg.append(shape("text", { x: width - 6, y: height - 6, class: "source" }, this.tiles.source));
    const clusters = this.clusters(project), isLarge = clusters.length <= 60;
    moveApart(clusters.filter(({ isDim }) => !isDim), isLarge ? 22 : 14);
    clusters.sort((one, other) => one.isChosen - other.isChosen);
    svg.append(...clusters.map(cluster => this.marker(cluster, isLarge)));
    this.node.replaceChildren(svg);
    if (focused) [...svg.querySelectorAll("[data-key]")].find(node => node.dataset.key === focused)?.focus();
  }

  // Groups of places whose markers would overlap; chosen places and few overlapping ones stay alone.
  clusters(project) {
    const groups = [];
    for (const place of this.places) {
      const [x, y] = project(place.longitude, place.latitude);
      const near = place.isChosen || place.isDim ? null : groups.find(each => each.isOpen && Math.hypot(each.x - x, each.y - y) < CLUSTER_PX);
      if (near) near.spots.push({ place, x, y });
      else groups.push({ x, y, isOpen: !place.isChosen && !place.isDim, spots: [{ place, x, y }] });
    }
    return groups.flatMap(({ spots }) => {
      if (spots.length < LEAST_CLUSTER) return spots.map(({ place, x, y }) => ({ ...place, x, y, members: [place] }));
      const members = spots.map(({ place }) => place), [worst] = [...members].sort((one, other) => other.rank - one.rank);
      const mean = axis => spots.reduce((sum, spot) => sum + spot[axis], 0) / spots.length;
      return [{ x: mean("x"), y: mean("y"), members, kind: `cluster ${worst.kind}`, label: String(members.length), name: members[0].name, title: `${members.length} gadgets; the highest index has ${worst.title}`, isChosen: false, isDim: false }];
    });
  }

  streets(width, height) {
    const { x, y, scale } = this.view, zoom = Math.max(0, Math.min(MOST_ZOOM, Math.round(Math.log2(360 * scale / TILE_PX)))), count = 2 ** zoom;
    const size = 360 * scale / count, left = width / 2 - (x + 180) * scale, top = height / 2 - (180 - y) * scale, nodes = [];
    for (let row = Math.max(0, Math.floor(-top / size)); row < count && top + row * size < height; row++) {
      for (let column = Math.floor(-left / size); left + column * size < width; column++) {
        const href = this.tiles.address.replace("{z}", zoom).replace("{x}", (column % count + count) % count).replace("{y}", row);
        nodes.push(shape("image", { href, x: left + column * size, y: top + row * size, width: size + 0.5, height: size + 0.5 }));
      }
    }
    return nodes;
  }

  coast(project, width, height) {
    const drawn = [];
    for (const ring of this.rings) {
      const points = ring.map(([lon, lat]) => project(lon, lat));
      const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
      const isSeen = Math.max(...xs) > 0 && Math.min(...xs) < width && Math.max(...ys) > 0 && Math.min(...ys) < height;
      if (isSeen) drawn.push(`M${points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L")}Z`);
    }
    return drawn.join("");
  }

  grid(project, width, height) {
    const { x, y, scale } = this.view, step = round(90 / scale, [1, 2, 5]), digits = Math.max(0, -Math.floor(Math.log10(step))), nodes = [];
    const half = width / scale / 2, [south, north] = [-1, 1].map(side => latitudeOf(y + side * height / scale / 2));
    for (let lon = Math.ceil((x - half) / step) * step; lon < x + half; lon += step) {
      const [at] = project(lon, 0);
      nodes.push(shape("path", { d: `M${at},0V${height}`, class: "grid" }));
      if (at > 45 && at < width - 40) nodes.push(shape("text", { x: at + 3, y: height - 4 }, `${lon.toFixed(digits)}°`));
    }
    for (let lat = Math.ceil(south / step) * step; lat < north; lat += step) {
      const [, at] = project(0, lat);
      nodes.push(shape("path", { d: `M0,${at}H${width}`, class: "grid" }));
      if (at > 42 && at < height - 18) nodes.push(shape("text", { x: 4, y: at - 3 }, `${lat.toFixed(digits)}°`));
    }
    return nodes;
  }

  rule() {
    const { y, scale } = this.view, perKm = scale / KM_PER_DEG / Math.cos(latitudeOf(y) * Math.PI / 180), km = round(90 / perKm, [1, 2, 5]);
    const label = km < 1 ? `${Math.round(km * 1000)} m` : `${km} km`;
    return [shape("path", { d: `M10,18v5h${km * perKm}v-5`, class: "rule" }), shape("text", { x: 14, y: 17 }, label)];
  }

  marker({ x, y, members, kind, label, name, title, isChosen, isDim }, isLarge) {
    const radius = members.length > 1 ? 13 + 2 * Math.log2(members.length) : isLarge ? 12 : 8;
    const node = shape("g", {
      class: `place ${kind}${isChosen ? " chosen" : ""}${isDim ? " dim" : ""}`, transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`,
      tabindex: isDim ? -1 : 0, role: "button", "aria-label": title, "data-key": `place ${name}`,
    }, shape("title", {}, title), shape("circle", { r: radius }));
    if (isLarge || members.length > 1) node.append(shape("text", {}, label));
    node.addEventListener("click", () => this.open(members));
    node.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.open(members); }
    });
    return node;
  }

  // Choose one place; enlarge a cluster until its places are apart, or choose all of them if they never are.
  open(members) {
    const before = this.view.scale;
    if (members.length > 1) this.fit(members);
    if (members.length === 1 || this.view.scale <= 1.01 * before) this.onChosen(members.map(({ name }) => name));
  }
}
