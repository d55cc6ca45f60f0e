// Three-dimensional views in one canvas: each has a scene, a camera that turns around the centre, and labels.

import { element } from "./theme.js";

const { PerspectiveCamera, Scene, Vector3, WebGLRenderer } = globalThis.THREE ?? {};
const LETTER_PX = 8, LINE_PX = 15; // about the size of the labels' text
const TURN_RAD = 0.0087, KEY_RAD = 0.12, ZOOM = 1.15, RATIO_MAX = 1.5, MOVING_RATIO = 0.5, REST_MS = 150;

export class View {
  // range: nearest and farthest distance of the camera; onChange is called after the user has moved the camera.
  constructor(node, { azimuth, elevation, distance, range }, onChange) {
    Object.assign(this, { node, azimuth, elevation, distance, range, onChange, labels: new Map(), placed: [] });
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(32, 1, 0.01, 100);
    this.camera.up.set(0, 0, 1);
    this.listen();
  }

  listen() {
    let last = null;
    this.node.addEventListener("pointerdown", event => {
      last = event;
      this.node.setPointerCapture(event.pointerId);
    });
    this.node.addEventListener("pointermove", event => {
      if (last) this.turn((last.clientX - event.clientX) * TURN_RAD, (event.clientY - last.clientY) * TURN_RAD);
      if (last) last = event;
    });
    for (const name of ["pointerup", "pointercancel"]) this.node.addEventListener(name, () => { last = null; });
    this.node.addEventListener("wheel", event => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1 / ZOOM : ZOOM);
    }, { passive: false });
    this.node.addEventListener("keydown", event => {
      const acts = { ArrowLeft: () => this.turn(-KEY_RAD, 0), ArrowRight: () => this.turn(KEY_RAD, 0), ArrowUp: () => this.turn(0, KEY_RAD), ArrowDown: () => this.turn(0, -KEY_RAD), "+": () => this.zoom(1 / ZOOM), "=": () => this.zoom(1 / ZOOM), "-": () => this.zoom(ZOOM) };
      if (!acts[event.key] || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
      acts[event.key]();
      event.preventDefault();
      event.stopPropagation();
    });
  }

  turn(azimuth, elevation) {
    this.place(this.azimuth + azimuth, this.elevation + elevation, this.distance);
    this.onChange();
  }

  zoom(factor) {
    this.place(this.azimuth, this.elevation, this.distance * factor);
    this.onChange();
  }

  place(azimuth, elevation, distance) {
    this.azimuth = azimuth % (2 * Math.PI);
    this.elevation = Math.min(1.5, Math.max(-1.5, elevation));
    this.distance = Math.min(this.range[1], Math.max(this.range[0], distance));
  }

  // Place a label at a point of the scene, below those that are there already, or hide it without a point.
  label(name, text, point, role = "") {
    let node = this.labels.get(name);
    if (!node) {
      node = element("span", { class: `label ${role}`, "aria-hidden": "true" });
      this.labels.set(name, node);
      this.node.append(node);
    }
    const at = point?.clone().project(this.camera), isShown = at && Math.abs(at.x) < 1 && Math.abs(at.y) < 1 && at.z < 1;
    node.hidden = !isShown;
    if (!isShown) return;
    if (node.textContent !== text) node.textContent = text;
    const x = (at.x + 1) / 2 * this.node.clientWidth;
    const isAxis = role.startsWith("axis"), isBefore = at.x > 0.2 && !isAxis; // labels in the right part end at their points
    const y = this.free((1 - at.y) / 2 * this.node.clientHeight, x, LETTER_PX * text.length * (isBefore ? -1 : 1));
    node.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) translateX(${isBefore ? "calc(-100% - 1rem)" : "0"})`;
  }

  // Return y, or the next place below it where a label from x over a width, negative to the left, covers no other one; at
  // the lower edge, the next place above.
  free(y, x, width) {
    const left = Math.min(x, x + width), right = Math.max(x, x + width);
    const covered = this.placed.filter(each => left < each.right && right > each.left).map(each => each.y).sort((a, b) => a - b);
    for (const each of covered) if (Math.abs(y - each) < LINE_PX) y = each + LINE_PX;
    const lowest = this.node.clientHeight - 1.6 * LINE_PX;
    if (y > lowest) {
      y = lowest;
      for (const each of covered.reverse()) if (Math.abs(y - each) < LINE_PX) y = each - LINE_PX;
    }
    this.placed.push({ left, right, y });
    return y;
  }

  aim(width, height) {
    this.placed = [];
    const { azimuth, elevation } = this, flat = Math.cos(elevation);
    // In a narrow view, the camera stays so far away that the width shows as much as the height of a square one.
    const distance = this.distance * Math.max(1, height / width);
    this.camera.position.set(flat * Math.cos(azimuth), flat * Math.sin(azimuth), Math.sin(elevation)).multiplyScalar(distance);
    this.camera.aspect = width / height;
    this.camera.lookAt(new Vector3());
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
  }
}

// False if the browser draws in software, where smooth edges would halve the frames per second.
function isFast() {
  const probe = document.createElement("canvas").getContext("webgl2"), info = probe?.getExtension("WEBGL_debug_renderer_info");
  const name = info ? probe.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  probe?.getExtension("WEBGL_lose_context")?.loseContext();
  return !/SwiftShader|llvmpipe|software|basic render/i.test(name);
}

export class Stage {
  // Throws an error if the browser has no WebGL.
  constructor(node) {
    this.node = node;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.isFast = isFast();
    this.renderer = new WebGLRenderer({ canvas: this.canvas, alpha: true, antialias: this.isFast });
    this.renderer.setScissorTest(true);
    this.renderer.autoClear = false;
    node.prepend(this.canvas);
    this.views = [];
  }

  close() {
    clearTimeout(this.resting);
    for (const { scene } of this.views) scene.traverse(part => { part.geometry?.dispose(); for (const each of [part.material].flat()) each?.dispose(); });
    this.renderer.dispose();
    this.renderer.forceContextLoss();
    this.canvas.remove();
  }

  // Draw all views; `update` of a view sets its scene to the time. In software, views that follow each other quickly have
  // fewer pixels, and all of them again at rest.
  draw(time) {
    const { clientWidth: width, clientHeight: height } = this.node, now = performance.now(), full = Math.min(RATIO_MAX, devicePixelRatio);
    if (!width || !height) return;
    const isMoving = !this.isFast && now - this.drawn < REST_MS, ratio = isMoving ? MOVING_RATIO * full : full;
    this.drawn = now;
    clearTimeout(this.resting);
    if (isMoving) this.resting = setTimeout(() => this.draw(time), REST_MS + 20);
    if (this.width !== width || this.height !== height || this.ratio !== ratio) {
      this.renderer.setPixelRatio(ratio);
      this.renderer.setSize(width, height, false);
      Object.assign(this, { width, height, ratio });
    }
    for (const view of this.views) {
      const { offsetLeft: left, offsetTop: top, clientWidth, clientHeight } = view.node;
      if (!clientWidth || !clientHeight) continue;
      const bottom = height - top - clientHeight;
      this.renderer.setViewport(left, bottom, clientWidth, clientHeight);
      this.renderer.setScissor(left, bottom, clientWidth, clientHeight);
      this.renderer.clear();
      view.aim(clientWidth, clientHeight);
      view.update(time);
      this.renderer.render(view.scene, view.camera);
    }
  }
}
