// Colours of the page by the names of their CSS variables, which differ between light and dark pages.

const scheme = matchMedia("(prefers-color-scheme: dark)");

export function css(name) {
  return name.startsWith("--") ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : name;
}

export function onSchemeChange(action, signal) {
  scheme.addEventListener("change", action, { signal });
}

// Axis of a uPlot in the page's colours.
export function axis(options, { text = "--muted", line = "--grid" } = {}) {
  const stroke = () => css(line);
  return { stroke: () => css(text), grid: { stroke, width: 1 }, ticks: { stroke, size: 4 }, font: "12px system-ui, sans-serif", ...options };
}

// Element with attributes, listeners (on...) and children; texts become text nodes, never markup.
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// A number with four significant digits and all those of an integer, without an exponent where it can be avoided.
export function number(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value), short = Number.isInteger(value) ? value : Number(value.toPrecision(digits));
  const text = size !== 0 && (size < 1e-4 || size >= 1e7) ? short.toExponential() : String(short);
  return text.replace("-", "−");
}
