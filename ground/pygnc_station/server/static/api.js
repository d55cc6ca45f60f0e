// OpenAPI description of the server as a page.

import { element } from "./components/theme.js";

const at = id => document.getElementById(id);

function typeOf(schema = {}) {
  const choices = schema.enum ? schema.enum.map(each => JSON.stringify(each)).join(", ") : "";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  return choices || schema.type || "any";
}

// Text with the parts between backquotes as code.
function prose(text) { return text.split("`").map((part, rank) => rank % 2 ? element("code", {}, part) : part); }

function table(titles, rows) {
  const head = element("tr", {}, ...titles.map(title => element("th", { scope: "col" }, title)));
  return element("div", { class: "scroll tall" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows.map(row => element("tr", {}, ...row.map(cell => element("td", {}, ...prose(cell))))))));
}

const defaultOf = schema => schema?.default === undefined ? "" : JSON.stringify(schema.default);

function bodyOf(operation, schemas) {
  return Object.entries(operation.requestBody?.content || {}).flatMap(([media, { schema }]) => {
    const fields = Object.entries(schemas[typeOf(schema)]?.properties || {});
    const title = element("h3", {}, `Body, ${media}`);
    return fields.length ? [title, table(["Field", "Type", "Default"], fields.map(([name, field]) => [name, typeOf(field), defaultOf(field)]))] : [title];
  });
}

function card(path, method, operation, schemas) {
  const secrets = (operation.security || []).flatMap(each => Object.keys(each));
  const parameters = (operation.parameters || []).map(each => [`${each.name} (${each.in})`, typeOf(each.schema), each.required ? "required" : defaultOf(each.schema)]);
  return element("section", { class: "card operation" },
    element("h2", {}, element("code", {}, `${method.toUpperCase()} ${path}`)),
    element("p", {}, ...prose(operation.summary || "")),
    ...(operation.description || "").split("\n\n").filter(Boolean).map(text => element("p", { class: "note" }, ...prose(text))),
    element("p", { class: "note" }, secrets.length ? `Needs: ${secrets.join(", ")}.` : "Needs no token."),
    ...(parameters.length ? [table(["Parameter", "Type", "Default"], parameters)] : []),
    ...bodyOf(operation, schemas));
}

async function show() {
  const answer = await fetch("../openapi.json"), described = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(described.error), { isSignedOut: answer.status === 401 });
  const { schemas, securitySchemes } = described.components;
  const cards = Object.entries(described.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => card(path, method, operation, schemas)));
  const secrets = element("section", { class: "card operation" }, element("h2", {}, "Secrets"), element("p", {}, "Send one as the header Authorization: Bearer SECRET."),
    table(["Name", "Secret"], Object.entries(securitySchemes).map(([name, { description }]) => [name, description])));
  at("operations").replaceChildren(secrets, ...cards);
  at("state").textContent = `${cards.length} requests, version ${described.info.version}`;
  document.body.dataset.ready = "yes";
}

at("search").addEventListener("input", event => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const node of document.querySelectorAll(".operation")) node.hidden = !words.every(word => node.textContent.toLowerCase().includes(word));
});
show().catch(error => {
  const text = error.isSignedOut ? ["Sign in on the ", element("a", { href: "../" }, "page of the stations"), ", and open this page again."] : [`The server refuses: ${error.message}`];
  at("state").replaceChildren(...text);
  at("state").classList.add("doubt");
});
